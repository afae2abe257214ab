"""Images: files, folders of files, pictures of PIL and arrays; and images as the source of a sweep."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import UInt8

from jaxflow._checks import InputError, missing_extra, shown
from jaxflow._paths import local_path, open_regular
from jaxflow._untyped import JsonObject
from jaxflow.inputs.rows import BadRow, Row, Text

# Endings of the files that are taken from a folder.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
TAKEN = "be an image: a path, a picture of PIL, or an array `height width channel`"
COLUMN = "image"

# A path, a picture of Pillow or an array, or several; which, its reader finds out.
ImageLike: TypeAlias = Any
Pixels: TypeAlias = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Picture:
    """An image as a model saw it, cut and resized, with its patches.

    Attributes:
        data: a JPEG file.
        grid: rows and columns of patches, which fill the picture evenly.
    """

    data: bytes
    grid: tuple[int, int]

    def pixels(self) -> Pixels:
        """The picture's colours, 0 to 255."""
        return read_image(_opened(self.data, "the picture"), "the picture")


@dataclass(frozen=True, eq=False)
class ImageRow(Text):
    """One image of a sweep's input; `text` is its name.

    Attributes:
        image: a path, or the image itself.
        sha256: of the file's bytes, or of the image's colours.
    """

    image: ImageLike = None
    sha256: str = ""

    @property
    def given(self) -> ImageLike:
        """What the model reads."""
        return self.image

    @property
    def content(self) -> str:
        """The part that a resumed sweep must find again: the same image under the same name."""
        return f"{super().content}{self.sha256}"


@dataclass(frozen=True)
class ImageSource:
    """Images as a stream: those of a folder and of folders in it by name, or others in the order given.

    Attributes:
        images: paths of files and folders, pictures or arrays, or records that hold one.
        name: what to call them in messages and in the manifest.
        column: of records, that holds the image; None where there are none.
        pair_column: None: images have no pairs.
        paired: False.
    """

    images: Iterable[ImageLike]
    name: str = "the images"
    column: str | None = None
    pair_column: None = None
    paired: bool = False

    @property
    def note(self) -> str | None:
        """What of a folder is left out."""
        if not isinstance(self.images, list):
            return None
        folders = [local_path("source", each) for each in self.images if is_folder("source", each)]
        others = sum(not _is_image_file(path) for folder in folders for path in _files_in(folder))
        return f"leaving out {others} files without an image's ending ({', '.join(SUFFIXES)})" if others else None

    @property
    def once(self) -> bool:
        """Whether it can be read only once, as a generator can."""
        return isinstance(self.images, Iterator)

    @property
    def reading(self) -> JsonObject:
        """Nothing; a text file's property."""
        return {}

    def rows(self) -> Iterator[Row]:
        """The images in order, files named by their place in the folder; one that cannot be read is an error."""
        for number, (name, image) in enumerate(_named(self.images, self.column), 1):
            place = name if isinstance(image, Path) else f"{name} of {self.name}"
            # Files have names of their own; other images are numbered.
            id_ = name if isinstance(image, Path) else number
            try:
                yield ImageRow(id_, name, None, place, image, _hash(image))
            except InputError as error:
                yield BadRow(id_, error.at(place))

    def count(self) -> int | None:
        """How many there are, where the images are listed."""
        return None if self.once else sum(1 for _ in _named(self.images, self.column))


def as_image_source(source: ImageLike, column: str | None = None) -> ImageSource:
    """Take in a source of images: a file, a folder, a sequence of images, or records with a column of them.

    Raises:
        InputError: it is none of these, or the folder holds no image.
    """
    listed = _listed("source", source)
    if isinstance(listed, list) and len(listed) == 1 and is_folder("source", listed[0]):
        folder = local_path("source", listed[0])
        if not any(map(_is_image_file, _files_in(folder))):
            expected = f"hold images ({', '.join(SUFFIXES)})"
            raise InputError("source", expected, f"none in the folder {shown(str(folder))}")
        return ImageSource(listed, folder.name or str(folder))
    if column is None and hasattr(source, "column_names") and COLUMN in (source.column_names or ()):
        column = COLUMN
    return ImageSource(listed, column=column)


def named_images(argument: str, images: ImageLike) -> list[tuple[str, ImageLike]]:
    """Images with their names, folders opened: of a file its path, of any other its number.

    Args:
        argument: the argument that holds them, for errors.
        images: one image or several: paths of files or folders, pictures, arrays; an array of 4 axes is several; or
            rows of a source, which have names.

    Raises:
        InputError: there is none.
    """
    named = list(_named(_listed(argument, images), None, argument))
    if not named:
        raise InputError(argument, "hold at least one image", "none")
    return named


def read_image(image: ImageLike, place: str) -> Pixels:
    """An image's colours, turned as its camera says, without transparency; shades of grey in all three colours.

    Args:
        image: a path, a picture of PIL, or an array `height width channel` (or `height width`): integers from 0 to
            255, or real numbers from 0 to 1.
        place: its name, for errors.

    Raises:
        InputError: it is no image, or cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        image = _opened(local_path("texts", image), place)
    if _is_picture(image):
        return _colours(image, place)
    if hasattr(image, "__array__"):
        return _of_array(np.asarray(image), place)
    raise InputError(None, TAKEN, f"{shown(image)} of type {type(image).__name__}", place=place)


def as_picture(pixels: Pixels, grid: tuple[int, int], longest: int = 336) -> Picture:
    """The picture of an image that a model saw; made smaller where a side is longer than `longest`."""
    import io

    image = pillow().fromarray(pixels)
    image.thumbnail((longest, longest))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85, subsampling=0)
    return Picture(file.getvalue(), grid)


def pillow() -> ModuleType:
    """PIL's module of images, or the error that says how to get it."""
    try:
        from PIL import Image
    except ImportError:
        raise missing_extra("pillow", "images", "reading images") from None
    return Image


def is_folder(argument: str, value: object) -> bool:
    """Whether a value, an entry of an argument, is the path of a folder."""
    return isinstance(value, str | os.PathLike) and local_path(argument, value).is_dir()


def _listed(argument: str, images: ImageLike) -> Iterable[ImageLike]:
    """Several images, also of a single one."""
    if isinstance(images, Mapping) or (hasattr(images, "columns") and not hasattr(images, "column_names")):
        raise InputError(argument, "be images", type(images).__name__, "pass a column of it")
    if isinstance(images, str | os.PathLike) or _is_picture(images):
        return [images]
    if hasattr(images, "__array__") and getattr(getattr(images, "dtype", None), "kind", "f") != "O":
        array = np.asarray(images)
        return list(array) if array.ndim == 4 else [array]
    if not isinstance(images, Iterable):
        raise InputError(argument, "be images", type(images).__name__)
    return images if isinstance(images, Iterator) or hasattr(images, "column_names") else list(images)


def _named(images: Iterable[ImageLike], column: str | None, argument: str = "source") -> Iterator[tuple[str, Any]]:
    # Files of several folders may have the same name within them.
    alone = isinstance(images, list) and len(images) == 1
    for number, given in enumerate(images):
        if isinstance(given, ImageRow):
            yield given.text, given.image
            continue
        if isinstance(given, Mapping):
            # A record without the image becomes an error of its own when it is read.
            given = given.get(column or COLUMN)
        if not isinstance(given, str | os.PathLike):
            yield f"image {number}", given
        elif is_folder(argument, given):
            folder = local_path(argument, given)
            for path in filter(_is_image_file, _files_in(folder)):
                yield (path.relative_to(folder) if alone else path).as_posix(), path
        else:
            yield os.fspath(given), local_path(argument, given)


def _files_in(folder: Path) -> Sequence[Path]:
    """Files of a folder and of those in it, sorted; hidden ones are no one's images."""
    inside = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _is_image_file(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _hash(image: ImageLike) -> str:
    if isinstance(image, Path):
        try:
            return hashlib.sha256(_bytes_of(image)).hexdigest()
        except OSError as error:
            raise _unreadable(str(image), error) from None
    return hashlib.sha256(read_image(image, "the image").tobytes()).hexdigest()


def _is_picture(value: object) -> bool:
    # Known by what it can do, so that PIL is not imported for it.
    return hasattr(value, "convert") and hasattr(value, "getbands")


def _opened(file: Path | bytes, place: str) -> ImageLike:
    import io

    library = pillow()
    try:
        data = file if isinstance(file, bytes) else _bytes_of(file)
        image = library.open(io.BytesIO(data))
        # The whole of it, so that a file that was cut off shows here.
        image.load()
    except (OSError, ValueError, SyntaxError, library.DecompressionBombError) as error:
        raise _unreadable(place, error) from None
    return image


def _bytes_of(file: Path) -> bytes:
    with open_regular(file) as stream:
        return stream.read()


def _unreadable(place: str, error: Exception) -> InputError:
    if isinstance(error, FileNotFoundError):
        return InputError(None, "be an image's file", "no such file", "check the path", place=place)
    named = getattr(error, "strerror", None)
    if type(error).__name__ == "UnidentifiedImageError":
        # PIL's own words name the file or an object in memory.
        named = "a file that is none, or of an unknown kind"
    got = shown(named or str(error) or type(error).__name__)[1:-1]
    return InputError(None, "be an image that can be read", got, "save it again as PNG or JPEG", place=place)


def _colours(image: ImageLike, place: str) -> Pixels:
    from PIL import ImageOps

    try:
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I;16") or (image.mode == "I" and image.getextrema()[1] > 255):
            # Shades of 16 bits, which PIL would cut at 255.
            image = pillow().fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
        pixels = np.asarray(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise _unreadable(place, error) from None
    if not pixels.size:
        raise InputError(None, "have pixels", f"an image of {image.size[0]} x {image.size[1]}", place=place)
    return pixels


def _of_array(array: np.ndarray, place: str) -> Pixels:
    expected = "be an array `height width channel` of 1, 3 or 4 channels"
    if array.ndim in (2, 3) and not array.size:
        raise InputError(None, "have pixels", f"an array of shape {array.shape}", "leave it out", place=place)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3, 4):
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        way_out = "put the channels last, by `image.transpose(1, 2, 0)`" if channels_first else None
        raise InputError(None, expected, f"shape {array.shape}", way_out, place=place)
    if array.dtype.kind not in "uif":
        raise InputError(None, "hold numbers", str(array.dtype), place=place)
    top = 1 if array.dtype.kind == "f" else 255
    if not ((array >= 0) & (array <= top)).all():
        expected = "hold integers from 0 to 255, or real numbers from 0 to 1"
        got = f"{array.dtype} from {array.min():.4g} to {array.max():.4g}"
        raise InputError(None, expected, got, "undo what a processor did to it", place=place)
    whole = np.rint(array * 255) if top == 1 else array
    return np.repeat(whole, 3, axis=-1).astype(np.uint8) if whole.shape[-1] == 1 else whole[..., :3].astype(np.uint8)
