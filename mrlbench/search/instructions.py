# ruff: noqa: ANN401 (numba's and LLVM's objects have no types)
"""Two processor instructions that numba does not offer: widening a float16, and prefetching."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils as untyped
from numba.extending import intrinsic

cgutils: Any = untyped


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


# what mypy shall know of them; in compiled code the first argument of the above is not given
number, wide_number = _reader(types.float32), _reader(types.float64)
prefetch: Any = intrinsic(_fetch_line)
