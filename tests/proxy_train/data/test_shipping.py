"""Images that travel; another machine is another cache, and a sender's path that leads nowhere."""

import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from effsearch.proxy_train.data import shipping
from effsearch.proxy_train.data.datasets import ImageData, load_images, open_images
from effsearch.proxy_train.data.shipping import AtNode, ImageShipment, WorkAtNode, ship_images
from effsearch.space.errors import RunError


@pytest.fixture
def images(make_image_folder: Callable[..., Path], tmp_path: Path) -> ImageData:
    folder = make_image_folder({"cat": 20, "dog": 20})
    return load_images(str(folder), resolution=8, cache_dir=tmp_path / "sender")


@pytest.fixture
def elsewhere(images: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageShipment:
    """A shipment as another machine sees it before it has arrived."""
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "node"))
    return dataclasses.replace(ship_images(images), handle=tmp_path / "only" / "on" / "the" / "sender")


def test_a_machine_that_sees_the_senders_images_needs_no_shipment(images: ImageData) -> None:
    shipment = ship_images(images)
    assert shipment.is_here()
    assert shipment.local_handle == images.handle
    assert shipment.num_bytes == sum(path.stat().st_size for path in images.handle.iterdir())


def test_images_arrive_whole_in_small_pieces(
    images: ImageData, elsewhere: ImageShipment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shipping, "PIECE_BYTES", 1_000)
    pieces = list(ship_images(images).pack())
    assert len(pieces) > len(list(images.handle.iterdir()))
    assert not elsewhere.is_here()
    elsewhere.unpack(pieces)
    assert elsewhere.is_here()
    assert elsewhere.local_handle == tmp_path / "node" / "shipped" / images.fingerprint
    arrived = open_images(elsewhere.local_handle)
    assert arrived.fingerprint == images.fingerprint
    np.testing.assert_array_equal(arrived.train.images, images.train.images)
    np.testing.assert_array_equal(arrived.val.labels, images.val.labels)


def test_a_second_arrival_changes_nothing(images: ImageData, elsewhere: ImageShipment) -> None:
    elsewhere.unpack(ship_images(images).pack())
    before = (elsewhere.local_handle / "images.npy").stat()

    def never() -> None:
        raise AssertionError("nothing is taken")
        yield

    elsewhere.unpack(never())  # type: ignore[arg-type]  # it gives nothing
    assert (elsewhere.local_handle / "images.npy").stat() == before


def test_other_images_at_the_senders_path_are_not_taken_for_the_senders(
    images: ImageData, elsewhere: ImageShipment
) -> None:
    elsewhere.handle.mkdir(parents=True)
    (elsewhere.handle / "meta.json").write_text('{"fingerprint": "another"}')
    assert not elsewhere.is_here()
    elsewhere.unpack(ship_images(images).pack())
    assert elsewhere.local_handle != elsewhere.handle


def test_a_shipment_that_breaks_off_leaves_nothing(images: ImageData, elsewhere: ImageShipment) -> None:
    def broken() -> object:
        yield "images.npy", b"a few bytes"
        raise OSError(5, "the network broke")

    with pytest.raises(RunError, match="the network broke"):
        elsewhere.unpack(broken())  # type: ignore[arg-type]  # a generator
    assert not elsewhere.is_here()
    assert list((elsewhere.local_handle.parent).iterdir()) == []


def test_a_cache_that_cannot_be_written_is_told(
    images: ImageData, elsewhere: ImageShipment, tmp_path: Path
) -> None:
    (tmp_path / "node").write_text("a file where a folder should be")
    with pytest.raises(RunError, match="cannot write the image cache"):
        elsewhere.unpack(ship_images(images).pack())


@dataclasses.dataclass(frozen=True)
class Counter:
    """Work that opens images."""

    handle: Path
    share: float = 1.0

    def __call__(self, factor: int) -> float:
        return self.share * factor * len(open_images(self.handle).train)

    def with_batch_share(self, share: float) -> "Counter":
        return dataclasses.replace(self, share=share)


def test_work_reads_the_images_where_the_machine_has_them(
    images: ImageData, elsewhere: ImageShipment
) -> None:
    work = pickle.loads(pickle.dumps(AtNode(Counter(elsewhere.handle), elsewhere)))
    elsewhere.unpack(ship_images(images).pack())
    assert work(2) == 2 * len(images.train)
    assert work.with_batch_share(0.5)(2) == len(images.train)


def test_work_that_knows_no_batch_is_not_taken_for_a_training_that_does() -> None:
    """A pool halves the batch of what can do with half: a training loop of the user's own cannot."""
    assert hasattr(AtNode, "with_batch_share")
    assert not hasattr(WorkAtNode, "with_batch_share")
    assert not hasattr(WorkAtNode, "with_weights")
