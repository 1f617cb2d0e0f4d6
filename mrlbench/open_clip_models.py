"""Model folders of open_clip, which the trained model and the encoder both read."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrlbench.errors import UserError
from mrlbench.image_models import patient_hub

CONFIG = "open_clip_config.json"


def local_name(folder: str) -> str:
    """Spell a model folder as open_clip wants it.

    Raises:
        UserError: It has no configuration.
    """
    path = Path(folder).expanduser().resolve()
    if not (path / CONFIG).is_file():
        raise UserError(f"open-clip: expected {CONFIG} in a model folder, got {path}")
    return f"local-dir:{path}"


@contextmanager
def opening(name: str) -> Iterator[None]:
    """Say in one line what open_clip cannot open; it logs the same on the root logger.

    Raises:
        UserError: With the first line of its own words.
    """
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.CRITICAL)
    try:
        with patient_hub():
            yield
    except (RuntimeError, ValueError, LookupError, TypeError, OSError, AttributeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"open-clip: expected a model of open_clip in {name}: {first[:300]}"
        ) from error
    finally:
        root.setLevel(level)
