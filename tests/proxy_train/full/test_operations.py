"""Each of RandAugment's operations by itself, against Pillow where it has the same."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps

from effsearch.proxy_train.full import operations
from effsearch.proxy_train.full.operations import OPERATIONS
from effsearch.proxy_train.full.vary import rand_augment

SIDE = 12


def some_images(num_images=4, *, side=SIDE):
    return torch.from_numpy(
        np.random.default_rng(0).integers(20, 230, (num_images, side, side, 3), dtype=np.uint8)
    )


def by_pillow(pixels, change):
    return torch.stack([torch.from_numpy(np.array(change(Image.fromarray(one.numpy())))) for one in pixels])


def farthest(first, second):
    return (first.int() - second.int()).abs().max().item()


WITHOUT_STRENGTH = (operations.auto_contrast, operations.equalize)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_no_strength_changes_nothing(operation):
    pixels = some_images()
    changed = operation(pixels, torch.zeros(len(pixels)))
    assert changed.dtype == torch.uint8
    assert changed.shape == pixels.shape
    if operation not in WITHOUT_STRENGTH:
        assert torch.equal(changed, pixels)


@pytest.mark.parametrize("operation", OPERATIONS[1:])
@pytest.mark.parametrize("strength", [-25.0, -9.0, 9.0, 25.0])
def test_strength_changes_each_image_by_itself(operation, strength):
    pixels = some_images(side=20)  # of fewer than 255 pixels equalize, as Pillow's, changes nothing
    changed = operation(pixels, torch.full((4,), strength))
    assert not torch.equal(changed, pixels)
    alone = [operation(pixels[i : i + 1], torch.tensor([strength])) for i in range(4)]
    assert torch.equal(changed, torch.cat(alone))


@pytest.mark.parametrize(
    ("operation", "change", "near"),
    [
        (operations.auto_contrast, ImageOps.autocontrast, 0),
        (operations.equalize, ImageOps.equalize, 0),
        (operations.posterize, lambda image: ImageOps.posterize(image, 4), 0),
        (operations.solarize, lambda image: ImageOps.solarize(image, 128), 0),
        (operations.colour, lambda image: ImageEnhance.Color(image).enhance(1.45), 2),
        (operations.contrast, lambda image: ImageEnhance.Contrast(image).enhance(1.45), 2),
        (operations.brightness, lambda image: ImageEnhance.Brightness(image).enhance(1.45), 1),
        (operations.sharpness, lambda image: ImageEnhance.Sharpness(image).enhance(1.45), 2),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_colours_change_as_pillow_changes_them(operation, change, near):
    pixels = some_images(side=40)
    strength = 10.0 if operation is operations.posterize else 5.0
    changed = operation(pixels, torch.full((len(pixels),), strength))
    assert farthest(changed, by_pillow(pixels, change)) <= near


@pytest.mark.parametrize("operation", WITHOUT_STRENGTH)
def test_one_colour_stays_as_it_is(operation):
    pixels = torch.full((2, 8, 8, 3), 77, dtype=torch.uint8)
    assert torch.equal(operation(pixels, torch.zeros(2)), pixels)


def test_what_weakens_is_never_inverted():
    pixels = some_images()
    for operation in (operations.colour, operations.contrast, operations.brightness):
        changed = operation(pixels, torch.full((4,), -100.0))
        assert farthest(changed, operation(pixels, torch.full((4,), -10.0))) <= 1


def test_a_quarter_turn_is_a_quarter_turn():
    pixels = some_images()
    turned = operations.rotate(pixels, torch.full((4,), 30.0))  # thirty degrees at ten
    assert torch.equal(turned, torch.rot90(pixels, 1, (1, 2)))


def test_a_shift_is_whole_pixels_and_grey_comes_in():
    pixels = some_images(side=20)
    three = 10 * 3 / 20 / operations.MAX_SHIFT  # three of twenty pixels
    left = operations.translate_x(pixels, torch.full((4,), three))
    assert torch.equal(left[:, :, :17], pixels[:, :, 3:])
    assert (left[:, :, 17:] == 128).all()
    down = operations.translate_y(pixels, torch.full((4,), -three))
    assert torch.equal(down[:, 3:], pixels[:, :17])
    assert (down[:, :3] == 128).all()


def test_a_shear_leaves_the_middle_and_moves_the_ends_two_ways():
    pixels = torch.zeros(1, 21, 21, 3, dtype=torch.uint8)
    pixels[:, :, 10] = 200
    sheared = operations.shear_x(pixels, torch.tensor([10.0]))
    places = sheared[0, :, :, 0].float().argmax(1)
    assert places[10] == 10
    assert places[0] == 13  # .3 of ten rows
    assert places[20] == 7
    other = operations.shear_y(pixels.transpose(1, 2), torch.tensor([10.0]))
    assert torch.equal(other, sheared.transpose(1, 2))


def test_each_image_gets_its_own_operations_in_their_order():
    pixels = some_images()
    shift, bright = OPERATIONS.index(operations.translate_x), OPERATIONS.index(operations.brightness)
    chosen = torch.tensor([[shift, bright, 0, shift], [bright, shift, 0, 0]])
    strengths = torch.full((2, 4), 9.0)
    both = rand_augment(pixels, chosen, strengths)
    nine = torch.tensor([9.0])
    first = operations.brightness(operations.translate_x(pixels[:1], nine), nine)
    second = operations.translate_x(operations.brightness(pixels[1:2], nine), nine)
    assert torch.equal(both[:1], first)
    assert torch.equal(both[1:2], second)
    assert torch.equal(both[2], pixels[2])
    assert torch.equal(both[3:], operations.translate_x(pixels[3:], nine))


@pytest.mark.parametrize("strength", [-40.0, 15.0, 25.0, 40.0])
def test_no_shift_takes_all_of_an_image_away(strength):
    pixels = torch.full((1, 30, 30, 3), 7, dtype=torch.uint8)
    shifted = operations.translate_x(pixels, torch.tensor([strength]))
    assert (shifted == 7).all((1, 3)).sum() >= 10
