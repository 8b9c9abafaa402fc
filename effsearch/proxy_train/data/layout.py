"""Which class, and which of train, val and test, does a path put its image in?

One set of rules for a folder on disk and for an archive of one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from effsearch.proxy_train.data.listing import FoundFile, ImageListing, ListedImage
from effsearch.space.errors import DataError

IMAGE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"),
        *("ppm", "pgm", "pbm", "pnm"),
    )
)
SPLIT_OF_FOLDER = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def is_hidden(path: str) -> bool:
    """Whether some part of the path starts with a dot or is the folder that macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def is_image(path: str) -> bool:
    """Whether the path ends like an image that can be decoded."""
    return PurePosixPath(path).suffix.casefold() in IMAGE_SUFFIXES


def list_classes(files: Sequence[FoundFile], folders: Collection[str], *, where: str) -> ImageListing:
    """The listing of image files laid out as `<class>/...` or `train|val|test/<class>/...`.

    One folder around all of it is looked through. Folders inside a class folder belong to that class.

    Args:
        files: The image files, paths with forward slashes.
        folders: Folders that exist, those without images included, so that an empty class is noticed.
        where: Name of the source, for messages.

    Raises:
        DataError: No images, an image outside every class folder, an empty class folder, fewer than two
            classes, a class of val or test that train lacks, or folders that cannot be told apart as splits
            or classes.
    """
    if not files:
        raise DataError(f"no images in {where}: expected <class>/*.jpg, or train/<class>/*.jpg")
    paths = [file.path.split("/") for file in files]
    known_folders = {tuple(folder.split("/")) for folder in folders if folder}
    known_folders |= {tuple(parts[:depth]) for parts in paths for depth in range(1, len(parts))}
    if _is_enclosed(paths, known_folders):
        paths = [parts[1:] for parts in paths]
        known_folders = {folder[1:] for folder in known_folders if len(folder) > 1}

    split_of_top = _split_folders(paths, known_folders, where)
    class_depth = 1 if split_of_top else 0
    for file, parts in zip(files, paths, strict=True):
        if len(parts) < class_depth + 2:
            raise DataError(f"{where}: image {file.path} lies in no class folder")
    if split_of_top:
        known_folders = {folder for folder in known_folders if folder[0] in split_of_top}
    _check_no_empty_class({tuple(parts[:-1]) for parts in paths}, known_folders, class_depth, where)

    splits = [split_of_top[parts[0]] if split_of_top else "" for parts in paths]
    classes = [parts[class_depth] for parts in paths]
    train_classes = {name for name, split in zip(classes, splits, strict=True) if split in ("", "train")}
    for name, parts in zip(classes, paths, strict=True):
        if name not in train_classes:
            raise DataError(f"{where}: class {name!r} is in {parts[0]}/ but not in train/")
    class_names = tuple(sorted(train_classes))
    _check_names(class_names, where)
    if len(class_names) < 2:
        raise DataError(f"{where}: at least two classes are needed, found only {class_names[0]!r}")

    label_of = {name: label for label, name in enumerate(class_names)}
    images = [
        ListedImage(file.path, label_of[name], split, file.num_bytes, file.mtime_ns)
        for file, name, split in zip(files, classes, splits, strict=True)
    ]
    return ImageListing(class_names=class_names, images=tuple(sorted(images)))


def _check_names(class_names: Sequence[str], where: str) -> None:
    """Refuse names that no terminal could show, and two that look the same."""
    seen: dict[str, str] = {}
    for name in class_names:
        if any(unicodedata.category(one) == "Cc" for one in name):
            raise DataError(f"{where}: the class {name!r} has characters in its name that no name has")
        plain = unicodedata.normalize("NFC", name)
        if plain in seen:
            raise DataError(
                f"{where}: the classes {seen[plain]!a} and {name!a} look the same: rename one of them"
            )
        seen[plain] = name


def _is_enclosed(paths: list[list[str]], folders: set[tuple[str, ...]]) -> bool:
    """Whether one folder, that is neither a class nor a split, holds everything."""
    tops = {folder[0] for folder in folders}
    if len(tops) != 1 or any(len(parts) < 3 for parts in paths):
        return False
    inner = {folder[1].casefold() for folder in folders if len(folder) > 1}
    return tops.pop().casefold() not in SPLIT_OF_FOLDER or "train" in inner


def _split_folders(paths: list[list[str]], folders: set[tuple[str, ...]], where: str) -> dict[str, str]:
    """The split that each top folder stands for; empty where the top folders are classes."""
    tops = sorted({parts[0] for parts in paths if len(parts) > 1})
    with_own_images = {parts[0] for parts in paths if len(parts) == 2}
    all_tops = sorted({folder[0] for folder in folders})  # an empty val is seen too
    split_of_top = {
        top: SPLIT_OF_FOLDER[top.casefold()] for top in all_tops if top.casefold() in SPLIT_OF_FOLDER
    }
    others = [top for top in tops if top not in split_of_top]
    has_train = any(split == "train" and top not in with_own_images for top, split in split_of_top.items())
    if not has_train:
        if not tops or others or with_own_images:
            return {}  # "train" or "test" may well be the name of a class
        raise DataError(f"{where}: there is {tops[0]}/ but no train/ beside it")
    if others:
        raise DataError(
            f"{where}: {others[0]}/ stands beside train/ but is none of val, valid, validation and test; "
            "move it away, or give its parent's classes one folder each"
        )
    for split in ("train", "val", "test"):
        same = [top for top, its_split in split_of_top.items() if its_split == split]
        if len(same) > 1:
            raise DataError(f"{where}: {same[0]}/ and {same[1]}/ both stand for {split}; keep one")
    return split_of_top


def _check_no_empty_class(
    holders: set[tuple[str, ...]], folders: set[tuple[str, ...]], class_depth: int, where: str
) -> None:
    """Raise `DataError` for a class folder, or a whole split, without one image."""
    filled = {holder[:depth] for holder in holders for depth in (1, class_depth + 1)}
    for folder in sorted(folders):
        if len(folder) <= class_depth + 1 and folder not in filled:
            what = "class folder" if len(folder) > class_depth else "folder"
            raise DataError(f"{where}: {what} {'/'.join(folder)} holds no images; fill or remove it")
