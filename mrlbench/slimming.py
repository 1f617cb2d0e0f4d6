"""A slimmable network: one network that runs at several widths (Yu et al. 2018, 1812.08928)."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.func import functional_call

from mrlbench.errors import UserError


class SlimmableNetwork(nn.Module):
    """A convolutional network whose narrower versions are its first channels.

    At width d of D, each convolution uses the first ⌈C·d/D⌉ of its C channels, and every width has
    batch norms of its own ("switchable" ones), for their statistics differ. The full width is the
    network itself.

    Args:
        network: With `width` D; convolutions (not grouped) and batch norms, and what has no
            parameters. Its first convolution reads the image.
        dims: Increasing, the last is D.

    Raises:
        UserError: Another kind of layer, or the last of `dims` is not D.
    """

    def __init__(self, network: nn.Module, dims: Sequence[int]) -> None:
        super().__init__()
        self.network, self.dims = network, tuple(dims)
        self.width = int(network.width)  # type: ignore[arg-type]
        if self.dims[-1] != self.width:
            raise UserError(
                f"slimmable: expected training.dims that end with the model's width {self.width}, "
                f"got {self.dims[-1]}"
            )
        _check_layers(network)
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        self.norms = nn.ModuleList(  # of each width but the full one, in the network's order
            nn.ModuleList(
                nn.BatchNorm2d(self._channels(m.num_features, dim), m.eps, m.momentum)
                for m in norms
            )
            for dim in self.dims[:-1]
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Embed images at every width, (B, 3, H, W) -> (B, d) for each of the dims."""
        return [self.at(images, dim) for dim in self.dims]

    def at(self, images: Tensor, dim: int) -> Tensor:
        """Embed images with the network of one width, (B, 3, H, W) -> (B, dim)."""
        sliced = {} if dim == self.width else dict(self._sliced(dim))
        features: Tensor = functional_call(self.network, sliced, (images,))
        return features

    def _sliced(self, dim: int) -> Iterator[tuple[str, Tensor]]:
        """Name what one width has in the place of the network's parameters and statistics."""
        norms = self.norms[self.dims.index(dim)].children()
        read: int | None = None  # channels of the image: the first convolution reads all
        for name, module in self.network.named_modules():
            if isinstance(module, nn.BatchNorm2d):
                own = next(norms)
                for part, tensor in (*own.named_parameters(), *own.named_buffers()):
                    yield f"{name}.{part}", tensor
            elif isinstance(module, nn.Conv2d):
                inputs = self._channels(module.in_channels, dim) if read else module.in_channels
                read = read or inputs
                outputs = self._channels(module.out_channels, dim)
                yield f"{name}.weight", module.weight[:outputs, :inputs]
                if module.bias is not None:
                    yield f"{name}.bias", module.bias[:outputs]

    def _channels(self, count: int, dim: int) -> int:
        return -(-count * dim // self.width)


class AtWidth(nn.Module):
    """The network of one width alone, (B, 3, H, W) -> (B, dim)."""

    def __init__(self, slimmable: SlimmableNetwork, dim: int) -> None:
        super().__init__()
        self.slimmable, self.width = slimmable, dim

    def forward(self, images: Tensor) -> Tensor:
        """Embed normalised images, (B, 3, H, W) -> (B, dim)."""
        return self.slimmable.at(images, self.width)


def _check_layers(network: nn.Module) -> None:
    for module in network.modules():
        own = (*module.parameters(recurse=False), *module.buffers(recurse=False))
        known = isinstance(module, nn.BatchNorm2d) or (
            isinstance(module, nn.Conv2d) and module.groups == 1
        )
        if own and not known:
            raise UserError(
                "slimmable: expected a model of plain convolutions and batch norms, got a "
                f"{type(module).__name__} in it"
            )
