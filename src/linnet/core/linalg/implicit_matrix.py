"""A symmetric matrix that is known by its products: a matrix itself, or a function that multiplies a vector by it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.errors import InputError

Matvec = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ImplicitMatrix:
    """A symmetric (n, n) matrix by its products.

    Attributes:
        size: n.
        dtype: What is computed in beside the products.
        device: Where vectors live.
    """

    size: int
    dtype: torch.dtype
    device: torch.device
    _matvec: Matvec
    _matrix: Tensor | None

    @classmethod
    def of(
        cls, matrix: Tensor | Matvec, *, size: int | None, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> "ImplicitMatrix":
        """From a matrix, or from a function and its `size`.

        Raises:
            InputError: the matrix isn't square and finite; a function comes without `size`.
        """
        if isinstance(matrix, Tensor):
            if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
                raise InputError(f"The matrix must be square (got shape {tuple(matrix.shape)}).")
            own = matrix.to(dtype)
            return cls(len(own), dtype, own.device, own.__matmul__, own)
        if not callable(matrix):
            raise InputError(f"The matrix must be a tensor or a function (got {type(matrix).__name__}).")
        if size is None or size < 1:
            raise InputError(
                f"`size` must be the length >= 1 of the vectors that the function multiplies (got {size})."
            )
        return cls(size, dtype, torch.device(device), matrix, None)

    def __call__(self, vector: Tensor) -> Tensor:
        """The matrix times a vector (n,).

        Raises:
            InputError: the function gave another shape, or NaN.
        """
        product = self._matvec(vector).to(self.dtype)
        if product.shape != vector.shape:
            raise InputError(f"The product must have shape {tuple(vector.shape)} (got {tuple(product.shape)}).")
        if not bool(torch.isfinite(product).all()):
            raise InputError(
                "The product with a finite vector must be finite (got NaN or infinity). Check the function."
            )
        return product

    def columns(self, block: Tensor) -> Tensor:
        """The matrix times each column of (n, m)."""
        if self._matrix is not None:
            return self._matrix @ block
        return torch.stack([self(column) for column in block.unbind(1)], dim=1)
