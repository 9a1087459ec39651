import random

from linnet.jet.c.workspace import ALIGNMENT, Buffer, plan


def test_buffers_that_live_together_never_overlap_and_others_share():
    draw = random.Random(0)
    for _ in range(50):
        buffers = []
        for k in range(12):
            first = draw.randrange(10)
            buffers.append(Buffer(f"b{k}", "lj_word", draw.randrange(1, 500), first, first + draw.randrange(4)))
        total = plan(buffers)
        for a in buffers:
            assert a.offset % ALIGNMENT == 0
            assert a.offset + a.size <= total
            for b in buffers:
                together = a is not b and a.first <= b.last and b.first <= a.last
                assert not together or a.offset + a.size <= b.offset or b.offset + b.size <= a.offset
    apart = [Buffer("a", "lj_word", 100, 0, 1), Buffer("b", "lj_word", 100, 2, 3)]
    assert plan(apart) == 100
