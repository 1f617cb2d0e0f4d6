# ruff: noqa: ANN401 (numba's and LLVM's objects have no types)
"""What numba does not offer: widening a float16, prefetching, and a product kept in registers."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.extending import intrinsic

cgutils: Any = untyped
ROWS, QUERIES = 16, 4  # of a tile: 64 sums fill half of the registers of AVX2
WHOLE, VECTOR = ir.IntType(64), ir.VectorType(ir.FloatType(), ROWS)
NONE = ir.Constant(VECTOR, None)  # zeros


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

    def load(self, address: Any) -> Any:
        """Read 16 numbers that begin anywhere."""
        found = self.builder.load(self.vector(address))
        found.align = 4
        return found

    def spread(self, number: Any) -> Any:
        """Repeat a number 16 times."""
        lane, lanes = ir.IntType(32), ir.VectorType(ir.IntType(32), ROWS)
        one = self.builder.insert_element(NONE, number, ir.Constant(lane, 0))
        return self.builder.shuffle_vector(one, NONE, ir.Constant(lanes, None))

    def _array(self, place: int) -> Any:
        kind = self._kinds[place]
        return self._context.make_array(kind)(self._context, self.builder, self._values[place])


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

    The products go to `out[:4, column : column + 16]`. Sums stay in registers: a loop over arrays
    would write and read them at each coordinate.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        code, zero = _Code(context, builder, signature, arguments), ir.Constant(WHOLE, 0)
        start, dim = code.number(1), code.width(2)
        asked = [code.address(2, code.number(3 + each), zero) for each in range(QUERIES)]
        kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
        add_product = cgutils.get_or_insert_function(
            builder.module, kind, f"llvm.fmuladd.v{ROWS}f32"
        )
        sums = [cgutils.alloca_once_value(builder, NONE) for _ in asked]  # LLVM makes registers
        for each in sums:
            builder.store(NONE, each)
        with cgutils.for_range(builder, dim) as loop:
            before = builder.mul(loop.index, ir.Constant(WHOLE, ROWS))
            rows = code.load(code.along(0, builder.add(start, before)))
            for query, total in zip(asked, sums, strict=True):
                value = code.spread(builder.load(builder.gep(query, [loop.index])))
                builder.store(builder.call(add_product, [rows, value, builder.load(total)]), total)
        for place, total in enumerate(sums):
            target = code.address(7, ir.Constant(WHOLE, place), code.number(8))
            builder.store(builder.load(total), code.vector(target)).align = 4
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
