"""What encoders of transformers models share: folders, what the files say, and long texts."""

import hashlib
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mrlbench.arrays import blocks
from mrlbench.errors import UserError

log = logging.getLogger(__name__)

WEIGHTS = ("*.safetensors", "*.bin")
READ = {".json", ".safetensors", ".bin", ".txt", ".model", ".py"}  # what vectors depend on
OTHERS = ["*.onnx", "onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.gguf", "*.tflite"]
STATEMENTS = ("config_sentence_transformers.json", "config.json", "1_Pooling/config.json")
DIMS = re.compile(  # a list of JSON or Python, or one of YAML
    r"""matryoshka_dim(?:s|ensions)["']?\s*[:=]\s*(\[[\d,\s]+\]|(?:\s*-\s*\d+)+)"""
)
MARKS = 4  # tokens that a model puts around a text, at most
AT_ONCE = 1024  # texts that are tokenized to be counted


@dataclass(frozen=True)
class ModelFolder:
    """The files of a model.

    Attributes:
        path: Where they are.
        name: Of the hub, or the folder's own.
        revision: Of the hub, or empty.
        content: A hash of all that vectors depend on.
    """

    path: Path
    name: str
    revision: str
    content: str

    @property
    def identity(self) -> dict[str, str]:
        """Tell this model from others; where it lies makes no difference."""
        return {"model": self.name, "revision": self.revision, "content": self.content}

    def trained_dims(self, width: int) -> tuple[int, ...]:
        """Read the nested dims that a model's files state, up to its width; and say where."""
        for file in (*STATEMENTS, "README.md"):
            path = self.path / file
            found = DIMS.search(path.read_text(errors="replace")) if path.is_file() else None
            stated = {int(dim) for dim in re.findall(r"\d+", found[1])} if found else set()
            dims = tuple(sorted(dim for dim in stated if 0 < dim <= width))
            if dims:
                log.info("%s: trained at %s, says %s", self.name, ", ".join(map(str, dims)), file)
                return dims
        return ()


def find_model(name: str, revision: str = "") -> ModelFolder:
    """Find a model: a folder, an installed package that carries one, or a name of the hub.

    A name of the Hugging Face hub is downloaded where it is not yet.

    Raises:
        UserError: No such folder or name, no network, or files without weights.
    """
    path = Path(name).expanduser()
    packaged = None if path.is_dir() else _packaged(name)
    path = packaged or path
    if path.is_dir():
        name = name if packaged else path.resolve().name
        if revision:
            raise UserError(f"revision: expected none with a folder, {path}, got {revision!r}")
    else:
        path = _download(name, revision)
        revision = revision or path.name  # the commit
    if not any(any(path.rglob(pattern)) for pattern in WEIGHTS):
        raise UserError(
            f"expected a model's weights in {path}, got neither *.safetensors nor *.bin"
        )
    return ModelFolder(path, name, revision, _hash(path))


def _packaged(name: str) -> Path | None:
    """Look for a model of sentence-transformers in an installed package, without running it."""
    module = name.replace("-", "_")
    found = find_spec(module) if module.isidentifier() else None
    if found is None or found.origin is None:
        return None
    inside = sorted(Path(found.origin).parent.glob("*/modules.json"))
    return inside[0].parent if inside else None


def _download(name: str, revision: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        ignored = [*OTHERS, "*.bin"]
        path = Path(snapshot_download(name, revision=revision or None, ignore_patterns=ignored))
        if not any(path.rglob("*.safetensors")):
            path = Path(snapshot_download(name, revision=revision or None, ignore_patterns=OTHERS))
    except (OSError, ValueError, HfHubHTTPError, HFValidationError) as error:
        raise UserError(
            f"expected a model's folder, or a name of the Hugging Face hub that is downloaded or "
            f"within reach, got {name!r}: {_first_line(error)}"
        ) from error
    return path


def _hash(folder: Path) -> str:
    """Hash the files that vectors depend on, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.suffix in READ):
        with path.open("rb") as file:
            own = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder)} {own}\n".encode())
    return total.hexdigest()


def check_length(max_length: int, config: Any) -> None:  # noqa: ANN401 (of transformers, or None)
    """Refuse to read more tokens than the model has positions for, or none but the marks.

    Raises:
        UserError: How many there are.
    """
    if 0 < max_length <= MARKS:
        raise UserError(f"max_length: expected 0 or more than {MARKS}, got {max_length}")
    positions = getattr(config, "max_position_embeddings", 0)
    if positions and max_length > positions:
        raise UserError(
            f"max_length: expected at most the {positions} of the model, got {max_length}"
        )


@contextmanager
def loading(model: ModelFolder) -> Iterator[None]:
    """Say in one line what a library could not load.

    Raises:
        UserError: The files are not what they should be, or a package is missing.
    """
    from safetensors import SafetensorError

    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(f"{model.name}: needs the package {error.name!r}") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UserError(f"expected a model in {model.path}: {_first_line(error)}") from error


def open_pipeline(
    files: ModelFolder, device: str, dtype: str = "float32", trust_remote_code: bool = False
) -> Any:  # noqa: ANN401 (its classes are not typed here)
    """Load a `SentenceTransformer`.

    Raises:
        UserError: The files are not what they should be, or a package is missing.
    """
    check_own_code(files, trust_remote_code)
    with loading(files):
        import torch
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        return SentenceTransformer(
            str(files.path),
            device=device,
            trust_remote_code=trust_remote_code,
            local_files_only=not trust_remote_code,  # its code may lie in another repository
            model_kwargs={"dtype": torch.bfloat16 if dtype == "bf16" else torch.float32},
        )


def check_own_code(files: ModelFolder, trust_remote_code: bool) -> None:
    """Refuse code that comes with a model unless it is trusted; the libraries would ask at length.

    Raises:
        UserError: What to say to trust it.
    """
    config = files.path / "config.json"
    own = "auto_map" in config.read_text(errors="replace") if config.is_file() else False
    if own and not trust_remote_code:
        raise UserError(
            f"{files.name}: a model with Python code of its own, which is run only where you trust "
            "it: say --set model.trust_remote_code=true"
        )


def set_length(model: Any, max_length: int) -> None:  # noqa: ANN401
    """Set how many tokens a `SentenceTransformer` reads of a text; 0 keeps the model's limit.

    Raises:
        UserError: The model cannot read so many.
    """
    check_length(max_length, getattr(model.transformers_model, "config", None))
    if max_length:
        model.max_seq_length = max_length


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def count_longer(tokenizer: Callable[..., Any], texts: Sequence[str], limit: int) -> int:
    """Count the texts of more than `limit` tokens; only those that may be are tokenized."""
    candidates = [each for each in texts if len(each.encode("utf-8", "replace")) + MARKS > limit]
    longer = 0
    for rows in blocks(len(candidates), AT_ONCE):
        # verbose=False: else it warns of texts that the model cannot read whole
        found = tokenizer(candidates[rows], truncation=False, padding=False, verbose=False)
        longer += sum(len(ids) > limit for ids in found["input_ids"])
    return longer
