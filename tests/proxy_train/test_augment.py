import pytest
import torch

from effsearch.proxy_train.augment import (
    AugmentSettings,
    Normalisation,
    augment,
    crop_and_flip,
    cut_out,
    draw_augmentation,
    to_input,
)
from effsearch.space.errors import UsageError

PLAIN = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def crop(pixels, settings):
    """Images shifted and flipped as a seed says."""
    draws = draw_augmentation(len(pixels), size=pixels.shape[1], settings=settings, generator=generator())
    return crop_and_flip(pixels, settings=settings, draws=draws)


def numbered_pixels(batch, size):
    """Images whose pixel (row, column) is [row, column, 7]."""
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    image = torch.stack([rows, columns, torch.full_like(rows, 7)], dim=-1).to(torch.uint8)
    return image.expand(batch, size, size, 3).contiguous()


def test_input_is_normalised_by_channel_and_channels_last():
    pixels = torch.full((2, 4, 4, 3), 51, dtype=torch.uint8)  # 0.2
    normalisation = Normalisation(mean=(0.2, 0.1, 0.0), std=(0.5, 0.5, 0.25))
    images = to_input(pixels, normalisation=normalisation, resolution=4)
    assert images.shape == (2, 3, 4, 4)
    assert images.dtype == torch.float32
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images[1, :, 0, 0], torch.tensor([0.0, 0.2, 0.8]))


def test_input_keeps_rows_columns_and_colours_in_place():
    images = to_input(numbered_pixels(1, 8), normalisation=PLAIN, resolution=8) * 255
    torch.testing.assert_close(images[0, :, 5, 2], torch.tensor([5.0, 2.0, 7.0]))


@pytest.mark.parametrize("resolution", [5, 8, 24])
def test_images_of_another_size_are_resized(resolution):
    pixels = torch.full((2, 12, 12, 3), 51, dtype=torch.uint8)
    images = to_input(pixels, normalisation=PLAIN, resolution=resolution)
    assert images.shape == (2, 3, resolution, resolution)
    assert images.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(images, torch.full_like(images, 0.2))


def test_shrinking_averages_rather_than_skips_pixels():
    stripes = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 200
    images = to_input(stripes, normalisation=PLAIN, resolution=4) * 255
    assert (images - 100).abs().max() < 15


def test_a_crop_shifts_each_image_by_its_own_draw_within_reach():
    settings = AugmentSettings(crop_share=0.125, flips=False)
    cropped = crop(numbered_pixels(200, 32), settings)
    centre_rows, centre_columns = (cropped[:, 16, 16, channel].int() - 16 for channel in (0, 1))
    assert sorted(set(centre_rows.tolist())) == list(range(-4, 5))
    assert sorted(set(centre_columns.tolist())) == list(range(-4, 5))
    assert not torch.equal(centre_rows, centre_columns)
    assert (cropped[..., 2] == 7).all()


def test_reflection_mirrors_the_image_and_does_not_repeat_the_edge():
    settings = AugmentSettings(crop_share=0.25, flips=False)
    cropped = crop(numbered_pixels(100, 8), settings)
    shift_up = next(image for image in cropped if image[4, 0, 0] == 2)  # rows from -2 on
    assert shift_up[:4, 0, 0].tolist() == [2, 1, 0, 1]
    shift_down = next(image for image in cropped if image[4, 0, 0] == 6)  # rows up to 9
    assert shift_down[4:, 0, 0].tolist() == [6, 7, 6, 5]


def test_zero_padding_brings_in_black():
    settings = AugmentSettings(crop_share=0.25, crop_padding="zero", flips=False)
    cropped = crop(numbered_pixels(100, 8), settings)
    shift_up = next(image for image in cropped if image[4, 4, 0] == 2)
    assert not shift_up[:2].any()
    assert shift_up[2:, 4, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_about_half_of_the_images_are_flipped():
    settings = AugmentSettings(crop_share=0.0)
    pixels = numbered_pixels(400, 6)
    flipped = crop(pixels, settings)
    is_flipped = flipped[:, 0, 0, 1] == 5
    assert 150 < int(is_flipped.sum()) < 250
    assert torch.equal(flipped[is_flipped], pixels[is_flipped].flip(2))
    assert torch.equal(flipped[~is_flipped], pixels[~is_flipped])


def test_with_everything_off_images_pass_unchanged():
    settings = AugmentSettings(crop_share=0.0, flips=False)
    pixels = numbered_pixels(5, 6)
    assert torch.equal(crop(pixels, settings), pixels)


def test_a_cutout_blanks_one_square_of_the_asked_share():
    images = cut_out(
        torch.ones(100, 3, 16, 16), share=0.25, centres=torch.rand(2, 100, 1, generator=generator())
    )
    num_blank = (images[:, 0] == 0).sum((1, 2))
    assert num_blank.max() == 16  # 4 x 4; less where it hangs over the edge
    assert num_blank.min() >= 4
    assert torch.equal(images[:, 0], images[:, 2])


def test_one_seed_augments_one_way_and_another_seed_another():
    pixels = torch.randint(256, (8, 10, 10, 3), generator=generator(9)).to(torch.uint8)
    settings = AugmentSettings(cutout_share=0.3)
    first, again, other = (
        augment(
            pixels,
            settings=settings,
            normalisation=PLAIN,
            resolution=12,
            draws=draw_augmentation(8, size=10, settings=settings, generator=generator(seed)),
        )
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("cutout_share", [0.0, 0.5])
def test_draws_come_in_the_order_that_old_runs_were_trained_with(cutout_share):
    """Shifts, then flips, then what is cut out, and nothing in between: another order is another augmentation."""
    settings, expected, given = AugmentSettings(cutout_share=cutout_share), generator(5), generator(5)
    for _ in range(2):
        draws = draw_augmentation(6, size=32, settings=settings, generator=given)
        assert torch.equal(draws.shifts, torch.randint(-4, 5, (2, 6, 1), generator=expected))
        assert torch.equal(draws.is_flipped, torch.randint(2, (6, 1), generator=expected).bool())
        if cutout_share:
            assert torch.equal(draws.centres, torch.rand(2, 6, 1, generator=expected))


def test_without_flips_as_much_is_drawn():
    shifts = [
        draw_augmentation(3, size=32, settings=AugmentSettings(flips=flips), generator=given).shifts
        for flips in (True, False)
        for given in [generator(1)]
        for _ in range(2)
    ]
    assert torch.equal(shifts[1], shifts[3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"crop_share": 0.6}, r"crop_share must be from 0 to 0.5, got 0.6"),
        ({"crop_padding": "wrap"}, r"crop_padding must be reflect or zero, got 'wrap'"),
        ({"cutout_share": -0.1}, r"cutout_share must be from 0 to 1, got -0.1"),
    ],
)
def test_settings_that_do_not_hold_are_refused(fields, message):
    with pytest.raises(UsageError, match=message):
        AugmentSettings(**fields)
