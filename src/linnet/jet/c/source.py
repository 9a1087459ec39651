"""The text of the C file and its header."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from linnet.errors import InputError
from linnet.jet.c.bit_tables import Layout
from linnet.jet.c.sections import sections
from linnet.jet.c.steps import Steps, steps_of
from linnet.jet.c.workspace import ALIGNMENT, plan
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Conv, Scores
from linnet.jet.integer.table import table

KEYWORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern",
    "float", "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed",
    "sizeof", "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while", "main",
))  # fmt: skip
_JETS = """
/* Jets run as composed kernels, not by their bank of nine maps: of the two ways the faster one where the CPU counts the
 * bits of a vector at once, and about as fast on AVX2. Measured by `python -m benchmarks jet --only bank`. */
"""
_FAST = ("bit_conv", "int_conv", "linear_bits")
_PATHS = """    switch (path) {{
    case 2:
        {avx512}
        return;
    case 1:
        {avx2}
        return;
    default:
        break;
    }}
"""


@dataclass(frozen=True)
class CSource:
    """A program in C.

    Attributes:
        source: The .c file.
        header: The .h file.
        table_bytes: Bytes of its constant tables.
        workspace_bytes: Bytes of its workspace.
    """

    source: str
    header: str
    table_bytes: int
    workspace_bytes: int


def layout_of(word_bits: int) -> Layout:
    """Words of 64 bits, for servers and large cores, or of 32, for microcontrollers.

    Raises:
        InputError: another number.
    """
    if word_bits not in (32, 64) or isinstance(word_bits, bool):
        raise InputError(f"`word_bits` must be 32 or 64 (got {word_bits!r}). Give 32 for a microcontroller.")
    return Layout(word_bits, 8 if word_bits == 64 else 1)


def identifier(name: object) -> str:
    """The name, if C, its macros and a file can bear it.

    Raises:
        InputError: they can't.
    """
    if isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w{0,59}", name, re.ASCII) and name not in KEYWORDS:
        return name
    raise InputError(
        f"`name` must be a C identifier: a letter, then letters, digits and underscores, no keyword (got {name!r}). "
        'E.g. "linnet_jet".'
    )


def c_source(graph: IntegerGraph, name: str, word_bits: int) -> CSource:
    """Source and header of a program.

    Args:
        graph: The program.
        name: Of the function, the macros (in upper case) and the files.
        word_bits: 64 or 32.
    """
    layout = layout_of(word_bits)
    steps = steps_of(graph, layout)
    room = plan(list(steps.buffers.values())) + ALIGNMENT
    about = _about(graph, name)
    source = "\n".join([about, _prelude(graph, name, layout, steps), "".join(steps.tables), _run(name, steps)])
    return CSource(source, about + "\n" + _header(graph, name, room), _table_bytes(steps.tables, word_bits), room)


def _about(graph: IntegerGraph, name: str) -> str:
    lines = table(graph).replace("*/", "* /").splitlines()
    return "\n".join(
        [f"/* {name}: an integer program, written by linnet.", " *", *(f" * {line}" for line in lines), " */"]
    )


def pixel_type(graph: IntegerGraph) -> str:
    """C type of one pixel."""
    return "uint8_t" if graph.input.low >= 0 and graph.input.high <= 255 else "int16_t"


def _header(graph: IntegerGraph, name: str, room: int) -> str:
    upper, pixel = name.upper(), pixel_type(graph)
    inputs, outputs = math.prod(graph.input_shape), math.prod(graph.output.shape)
    macros = {
        "INPUT_SIZE": inputs * (1 if pixel == "uint8_t" else 2),
        "OUTPUT_SIZE": outputs,
        "WORKSPACE_BYTES": room,
        **dict(zip(("INPUT_CHANNELS", "INPUT_HEIGHT", "INPUT_WIDTH"), graph.input_shape, strict=False)),
        **dict(zip(("OUTPUT_CHANNELS", "OUTPUT_HEIGHT", "OUTPUT_WIDTH"), graph.output.shape, strict=False)),
        "INPUT_LOW": f"({graph.input.low})",
        "INPUT_HIGH": graph.input.high,
        "OUTPUT_LOW": f"({graph.output.range[0]})",
        "OUTPUT_HIGH": graph.output.range[1],
    }
    if isinstance(graph.output.operation, Scores):
        macros["SCORE_SHIFT"] = f"({graph.output.operation.shift})"
    jets = any(isinstance(node.operation, Conv) and node.operation.family == "jet" for node in graph.nodes)
    defines = "\n".join(f"#define {upper}_{key} {value}" for key, value in macros.items())
    return f"""
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* Bytes of one frame, int32 numbers of its result, and bytes that a run needs to work in. */
{defines}
#define {upper}_PROGRAM_HASH "{graph.hash}"
{_JETS if jets else ""}
/* One frame. `input`: rows of pixels, channel last (H, W, C), {"bytes" if pixel == "uint8_t" else "int16_t"}, each in
 * {upper}_INPUT_LOW..{upper}_INPUT_HIGH. `output`: {_meaning(graph)}.
 * `workspace`: {upper}_WORKSPACE_BYTES bytes at any address; a multiple of 64 is fastest. Two threads may run at once,
 * each with a workspace of its own. */
void {name}_run(const {pixel} *input, int32_t *output, void *workspace);

/* The same on a given path: 0 portable, 1 AVX2, 2 AVX-512 VPOPCNTDQ. Returns 0, or -1 where this machine or this build
 * hasn't it. */
int {name}_run_path(const {pixel} *input, int32_t *output, void *workspace, int path);

/* The path that {name}_run takes on this machine. */
int {name}_path(void);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _meaning(graph: IntegerGraph) -> str:
    order = " in the order H, W, C" if len(graph.output.shape) == 3 else ""
    if graph.output.kind == "sign":
        return f"+1 or -1{order}"
    if graph.output.kind == "scores":
        return f"class scores{order}, each 2^SCORE_SHIFT times its logit"
    return f"integer sums{order}"


def _prelude(graph: IntegerGraph, name: str, layout: Layout, steps: Steps) -> str:
    wide = layout.word_bits == 64
    fast = wide and any(section in steps.used for section in _FAST)
    used = sorted(steps.used) + (["bit_conv_type"] if "bit_conv" in steps.used else [])
    parts = [f'#include "{name}.h"', "#include <string.h>", ""]
    parts += [f"#define LJ_WORD_BITS {layout.word_bits}", f"#define LJ_LANES {layout.lanes}"]
    parts += [f"#define LJ_W(x) UINT{layout.word_bits}_C(x)", f"typedef uint{layout.word_bits}_t lj_word;"]
    parts += [f"typedef {pixel_type(graph)} LJ_PIXEL;", ""]
    if fast:
        parts.append(_X86)
    parts.append(sections("portable", used))
    if fast:
        parts += ["#if LJ_X86", sections("x86", used), "#endif", ""]
    parts += [_dispatch(section, fast=fast) for section in _FAST if section in steps.used]
    return "\n".join(parts)


_X86 = """/* The fast paths, chosen at run time; -DLINNET_JET_PORTABLE leaves them out. */
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__)) && !defined(LINNET_JET_PORTABLE)
#define LJ_X86 1
#include <immintrin.h>
#define LJ_POPCNT __attribute__((target("popcnt")))
#define LJ_AVX2 __attribute__((target("avx2,popcnt")))
#define LJ_AVX512 __attribute__((target("avx512f,avx512vpopcntdq,avx2,popcnt")))
#else
#define LJ_X86 0
#endif
"""
_SIGNATURES = {
    "bit_conv": (
        "const lj_bit_convolution *c, const lj_word *map, lj_word *bits, int32_t *sums, lj_word *patch",
        "c, map, bits, sums, patch",
        ("avx2", "avx512"),
    ),
    "int_conv": (
        "const lj_int_convolution *c, const int16_t *map, lj_word *bits, int32_t *sums, int16_t *patch",
        "c, map, bits, sums, patch",
        ("avx2", "avx2"),
    ),
    "linear_bits": (
        "const lj_word *x, const lj_word *weights, int32_t *out, int32_t words, int32_t features, int32_t outputs",
        "x, weights, out, words, features, outputs",
        ("popcnt", "popcnt"),
    ),
}


def _dispatch(section: str, *, fast: bool) -> str:
    parameters, arguments, (narrow, wide) = _SIGNATURES[section]
    cases = _PATHS.format(avx512=f"lj_{section}_{wide}({arguments});", avx2=f"lj_{section}_{narrow}({arguments});")
    switch = f"#if LJ_X86\n{cases}#endif\n" if fast else ""
    return (
        f"static void lj_{section}(int path, {parameters})\n{{\n{switch}    (void)path;\n"
        f"    lj_{section}_portable({arguments});\n}}\n"
    )


def _run(name: str, steps: Steps) -> str:
    pixel = pixel_type(steps.graph)
    pointers = [
        f"    {b.kind} *const {b.name} = ({b.kind} *)(void *)(base + {b.offset});" for b in steps.buffers.values()
    ]
    fast = steps.layout.word_bits == 64 and any(section in steps.used for section in _FAST)
    has = _CHECK if fast else "    return path == 0 ? 0 : -1;"
    best = "    return lj_has(2) == 0 ? 2 : lj_has(1) == 0 ? 1 : 0;" if fast else "    return 0;"
    body = "\n".join([*pointers, "    (void)path;", *(f"    {call}" for call in steps.calls)])
    return f"""
static void lj_frame(const {pixel} *input, int32_t *output, void *workspace, int path)
{{
    unsigned char *const base =
        (unsigned char *)workspace + (({ALIGNMENT}u - (uintptr_t)workspace % {ALIGNMENT}u) % {ALIGNMENT}u);
{body}
}}

/* 0 where this build and this machine have the path, else -1. */
static int lj_has(int path)
{{
{has}
}}

int {name}_path(void)
{{
{best}
}}

int {name}_run_path(const {pixel} *input, int32_t *output, void *workspace, int path)
{{
    if (lj_has(path) != 0) {{
        return -1;
    }}
    lj_frame(input, output, workspace, path);
    return 0;
}}

void {name}_run(const {pixel} *input, int32_t *output, void *workspace)
{{
    lj_frame(input, output, workspace, {name}_path());
}}
"""


_CHECK = """#if LJ_X86
    if (path == 1) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") ? 0 : -1;
    }
    if (path == 2) {
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vpopcntdq") &&
                       __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt")
                   ? 0
                   : -1;
    }
#endif
    return path == 0 ? 0 : -1;"""


def _table_bytes(tables: list[str], word_bits: int) -> int:
    sizes = {"lj_word": word_bits // 8, "int32_t": 4, "int8_t": 1, "unsigned char": 1}
    total = 0
    for text in tables:
        found = re.match(r"static const (lj_word|int32_t|int8_t|unsigned char) \w+\[(\d+)\]", text)
        total += sizes[found[1]] * int(found[2]) if found else 0
    return total
