import numpy as np
import pytest

from linnet.jet import kernel_family, kernel_name


@pytest.mark.parametrize(
    ("size", "rows"),
    [
        (2, [[1, 1], [1, -1]]),
        (3, [[1, 2, 1], [1, 0, -1], [1, -2, 1]]),
        (4, [[1, 3, 3, 1], [1, 1, -1, -1], [1, -1, -1, 1], [1, -3, 3, -1]]),
        (5, [[1, 4, 6, 4, 1], [1, 2, 0, -2, -1], [1, 0, -2, 0, 1], [1, -2, 0, 2, -1], [1, -4, 6, -4, 1]]),
    ],
)
def test_the_rows_are_the_binomial_ones(size, rows):
    assert [kernel_family.row(size, q).tolist() for q in range(size)] == rows


@pytest.mark.parametrize("size", kernel_family.SIZES)
def test_the_kernels_are_a_basis_and_only_the_gaussian_has_a_sum(size):
    kernels = [kernel_family.kernel(size, qy, qx) for qy in range(size) for qx in range(size)]
    assert np.linalg.matrix_rank(np.array(kernels).reshape(size * size, -1)) == size * size
    assert [int(k.sum()) for k in kernels] == [4 ** (size - 1)] + [0] * (size * size - 1)


def test_sobel_x_is_the_difference_across():
    assert kernel_family.kernel(3, 0, 1).tolist() == [[1, 0, -1], [2, 0, -2], [1, 0, -1]]
    assert kernel_name(3, 0, 1) == "sobel_x"
    assert kernel_name(3, 1, 0) == "sobel_y"
    assert len({kernel_name(k, y, x) for k in (5,) for y in range(k) for x in range(k)}) == 25


@pytest.mark.parametrize("size", kernel_family.SHIFT_SIZES)
def test_shifts_make_all_gains_equal(size):
    gains = {int(np.abs(kernel_family.row(size, q)).sum()) << kernel_family.gain_shift(size, q) for q in range(size)}
    assert gains == {2 ** (size - 1)}


def test_chance_is_that_of_fair_bits():
    expected = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
    np.testing.assert_allclose(kernel_family.chance(3), expected, atol=0)
