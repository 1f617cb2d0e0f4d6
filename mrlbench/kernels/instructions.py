# ruff: noqa: ANN401 (numba's and LLVM's objects have no types)
"""What numba does not offer: widening a float16, prefetching, and a product kept in registers."""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.extending import intrinsic

cgutils: Any = untyped
ROWS, QUERIES = 16, 4  # of a tile: 64 sums fill half of the registers of AVX2
WHOLE, INTEGER, WORD = (ir.IntType(bits) for bits in (64, 32, 16))
VECTOR, INTEGERS = ir.VectorType(ir.FloatType(), ROWS), ir.VectorType(INTEGER, ROWS)
PAIRS = ir.VectorType(WORD, 2 * ROWS)  # two coordinates of each row
AVX2 = "+avx2"


def _reader(target: Any) -> Any:
    """Make what reads a stored coordinate; numba itself knows no float16 on a processor."""

    def read(context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, _: Any, arguments: Any) -> Any:
            if value != types.uint16:
                return context.cast(builder, arguments[0], value, target)
            half = builder.bitcast(arguments[0], ir.HalfType())
            return builder.fpext(half, context.get_value_type(target))

        return target(value), generate

    return intrinsic(read)


def _fetch_line(context: Any, rows: Any, row: Any, column: Any) -> Any:
    """Ask the processor to bring one cache line of `rows` near."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(rows)(context, builder, arguments[0])
        places = [
            context.cast(builder, each, kind, types.intp)
            for each, kind in zip(arguments[1:], signature.args[1:], strict=True)
        ]
        address = cgutils.get_item_pointer(context, builder, rows, array, places)
        byte = ir.IntType(8).as_pointer()
        hint = [ir.Constant(ir.IntType(32), flag) for flag in (0, 3, 1)]  # a read, near, data
        kind = ir.FunctionType(ir.VoidType(), [byte, *(each.type for each in hint)])
        known = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(known, [builder.bitcast(address, byte), *hint])
        return context.get_dummy_value()

    return types.void(rows, row, column), generate


class _Code:
    """Writes LLVM's code over the arguments of an intrinsic."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self._context, self.builder = context, builder
        self._kinds, self._values = signature.args, arguments

    def number(self, place: int) -> Any:
        """Give an argument that is a whole number."""
        kind = self._kinds[place]
        return self._context.cast(self.builder, self._values[place], kind, types.intp)

    def width(self, place: int) -> Any:
        """Give how long the rows of an array are."""
        return cgutils.unpack_tuple(self.builder, self._array(place).shape, 2)[1]

    def address(self, place: int, row: Any, column: Any) -> Any:
        """Point to a number of a two-dimensional array."""
        start = self.builder.add(self.builder.mul(row, self.width(place)), column)
        return self.along(place, start)

    def along(self, place: int, start: Any) -> Any:
        """Point to a number of an array, counted from its first."""
        return self.builder.gep(self._array(place).data, [start])

    def vector(self, address: Any) -> Any:
        """Point to 16 numbers that begin there."""
        return self.builder.bitcast(address, VECTOR.as_pointer())

    def load(self, address: Any, kind: Any = VECTOR) -> Any:
        """Read something that begins at any number, such as 16 of them."""
        found = self.builder.load(self.builder.bitcast(address, kind.as_pointer()))
        found.align = 2 if kind in (PAIRS, INTEGER) else 4  # an integer here is a pair of words
        return found

    def spread(self, number: Any) -> Any:
        """Repeat a number 16 times."""
        none = ir.Constant(ir.VectorType(number.type, ROWS), None)
        one = self.builder.insert_element(none, number, ir.Constant(INTEGER, 0))
        return self.builder.shuffle_vector(one, none, ir.Constant(INTEGERS, None))

    def lanes(self, vector: Any, which: range) -> Any:
        """Take some numbers of a vector."""
        mask = ir.Constant(ir.VectorType(INTEGER, len(which)), list(which))
        return self.builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), mask)

    def is_made_for(self, feature: str) -> bool:
        """Tell whether the code may use what only some processors have."""
        return feature in self._context.codegen().magic_tuple()[2].split(",")

    def _array(self, place: int) -> Any:
        kind = self._kinds[place]
        return self._context.make_array(kind)(self._context, self.builder, self._values[place])


def _add_floats(code: _Code, rows: Any, query: Any, total: Any) -> Any:
    """Add the products of one coordinate, of 16 rows and the query's that an address points to."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    name = f"llvm.fmuladd.v{ROWS}f32"
    add_product = cgutils.get_or_insert_function(code.builder.module, kind, name)
    return code.builder.call(add_product, [rows, code.spread(code.builder.load(query)), total])


def _add_pairs(code: _Code, rows: Any, query: Any, total: Any) -> Any:
    """Add the products of two coordinates, of 16 rows and the query's at an address, in words."""
    builder = code.builder
    pairs = builder.bitcast(code.spread(code.load(query, INTEGER)), PAIRS)
    if not code.is_made_for(AVX2):
        even, odd = range(0, 2 * ROWS, 2), range(1, 2 * ROWS, 2)
        products = [
            builder.mul(*(builder.sext(code.lanes(each, some), INTEGERS) for each in (rows, pairs)))
            for some in (even, odd)
        ]
        return builder.add(total, builder.add(*products))
    # one instruction, which LLVM does not find by itself
    half = ir.VectorType(INTEGER, ROWS // 2)
    kind = ir.FunctionType(half, [ir.VectorType(WORD, ROWS)] * 2)
    known = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx2.pmadd.wd")
    low, high = (
        builder.call(known, [code.lanes(each, some) for each in (rows, pairs)])
        for some in (range(ROWS), range(ROWS, 2 * ROWS))
    )
    both = builder.shuffle_vector(low, high, ir.Constant(INTEGERS, list(range(ROWS))))
    return builder.add(total, both)


class _Arithmetic(NamedTuple):
    """How a tile is multiplied: so many coordinates at once, what is read, what sums are."""

    together: int
    rows: Any
    sums: Any
    add: Callable[[_Code, Any, Any, Any], Any]


FLOATS = _Arithmetic(1, VECTOR, VECTOR, _add_floats)
WORDS = _Arithmetic(2, PAIRS, INTEGERS, _add_pairs)


def _multiply_tile(
    _: Any,
    values: Any,
    at: Any,
    queries: Any,
    one: Any,
    two: Any,
    three: Any,
    four: Any,
    out: Any,
    column: Any,
) -> Any:
    """Multiply 16 rows, `values[at:]` as (d, 16), with four of the `queries`, (B, d).

    Words (int16) lie as (d / 2, 16, 2), and no sum may leave an int32. The products go to
    `out[:4, column : column + 16]`. Sums stay in registers: a loop over arrays would write and
    read them at each coordinate.
    """
    by = WORDS if values.dtype == types.int16 else FLOATS

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code, zero = _Code(context, builder, signature, arguments), ir.Constant(WHOLE, 0)
        start, together = code.number(1), ir.Constant(WHOLE, by.together)
        asked = [code.address(2, code.number(3 + each), zero) for each in range(QUERIES)]
        none = ir.Constant(by.sums, None)
        sums = [cgutils.alloca_once_value(builder, none) for _ in asked]  # LLVM makes registers
        for each in sums:
            builder.store(none, each)
        with cgutils.for_range(builder, builder.udiv(code.width(2), together)) as loop:
            before = builder.mul(loop.index, together)
            place = builder.add(start, builder.mul(before, ir.Constant(WHOLE, ROWS)))
            rows = code.load(code.along(0, place), by.rows)
            for query, total in zip(asked, sums, strict=True):
                there = builder.gep(query, [before])
                builder.store(by.add(code, rows, there, builder.load(total)), total)
        for place, total in enumerate(sums):
            target = code.address(7, ir.Constant(WHOLE, place), code.number(8))
            found = builder.load(total)
            found = found if by.sums == VECTOR else builder.sitofp(found, VECTOR)
            builder.store(found, code.vector(target)).align = 4
        return context.get_dummy_value()

    found = types.void(values, at, queries, one, two, three, four, out, column)
    return found, generate


def _which_reach(_: Any, scores: Any, row: Any, column: Any, bar: Any) -> Any:
    """Tell which of 16 scores, `scores[row, column : column + 16]`, are at the bar or above.

    The lowest bit is the first score.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code = _Code(context, builder, signature, arguments)
        some = code.load(code.address(0, code.number(1), code.number(2)))
        above = builder.fcmp_ordered(">=", some, code.spread(arguments[3]))
        return builder.zext(builder.bitcast(above, ir.IntType(ROWS)), WHOLE)

    return types.int64(scores, row, column, bar), generate


# what mypy shall know of them; in compiled code the first argument of the above is not given
number, wide_number = _reader(types.float32), _reader(types.float64)
prefetch: Any = intrinsic(_fetch_line)
multiply_tile: Any = intrinsic(_multiply_tile)
which_reach: Any = intrinsic(_which_reach)
