"""The public networks: a name, how it is made without trained weights, and the sizes of its input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from torch import nn

LIBRARIES = {"timm": "timm", "torchvision": "torchvision", "smp": "segmentation_models_pytorch", "monai": "monai"}
"""Option -> the module that holds the networks."""

TORCHVISION = """alexnet convnext_tiny densenet121 densenet169 efficientnet_b0 efficientnet_b1 efficientnet_v2_s
googlenet inception_v3 maxvit_t mnasnet0_5 mnasnet1_0 mobilenet_v2 mobilenet_v3_large
mobilenet_v3_small regnet_x_400mf regnet_y_400mf regnet_x_800mf regnet_y_800mf resnet18 resnet34
resnet50 resnet101 resnext50_32x4d shufflenet_v2_x0_5 shufflenet_v2_x1_0 squeezenet1_0 squeezenet1_1
swin_t swin_v2_t vgg11 vgg11_bn vgg16_bn vit_b_32 wide_resnet50_2"""
SEGMENTATION = "deeplabv3_mobilenet_v3_large lraspp_mobilenet_v3_large fcn_resnet50 deeplabv3_resnet50"
TIMM = """resnet10t resnet18 resnet26 resnet26d resnet26t resnet50 resnetv2_50 resnext26ts resnext50_32x4d
res2net50_26w_4s res2next50 seresnet50 skresnet18 ecaresnet26t gcresnet33ts resnest14d resnetblur50
bat_resnext26ts halonet26t lambda_resnet26t botnet26t_256 eca_botnext26ts_256 efficientnet_b0
efficientnet_lite0 tf_efficientnetv2_b0 efficientnetv2_rw_t mobilenetv2_050 mobilenetv2_100
mobilenetv3_small_050 mobilenetv3_large_100 mobilenetv4_conv_small mobilenetv4_conv_medium
mobilenetv4_hybrid_medium mobileone_s0 mobilevit_xxs mobilevitv2_050 mnasnet_small spnasnet_100 fbnetc_100
fbnetv3_b tinynet_a ghostnet_050 ghostnet_100 ghostnetv2_100 lcnet_050 hardcorenas_a mixnet_s regnetx_002
regnety_002 regnetz_005 densenet121 dla34 dla60_res2net dpn48b selecsls42 selecsls60 vovnet39a
ese_vovnet19b_dw hrnet_w18_small cspresnet50 cspdarknet53 cspresnext50 darknet53 inception_v3 inception_v4
inception_resnet_v2 inception_next_atto xception41 xception41p legacy_xception convnext_atto convnextv2_atto
convmixer_768_32 edgenext_xx_small starnet_s1 starnet_s3 repvit_m1 repvit_m0_9 repvgg_a0 rexnet_100
repghostnet_050 fastvit_t8 fasternet_t0 efficientvit_b0 efficientvit_m0 efficientformer_l1
efficientformerv2_s0 levit_128s levit_conv_128s poolformer_s12 poolformerv2_s12 caformer_s18 convformer_s18
nextvit_small coatnet_nano_rw_224 coat_lite_tiny cait_xxs24_224 convit_tiny crossvit_tiny_240
davit_tiny deit_tiny_patch16_224 beit_base_patch16_224 eva02_tiny_patch14_224 flexivit_small focalnet_tiny_srf
gmixer_24_224 gmlp_s16_224 mixer_s32_224 resmlp_12_224 hiera_tiny_224 hgnet_tiny hgnetv2_b0
maxvit_rmlp_pico_rw_256 mvitv2_tiny nest_tiny nfnet_f0 nf_resnet50 pit_ti_224 pvt_v2_b0 rdnet_tiny
samvit_base_patch16 sequencer2d_s swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 tiny_vit_5m_224
tnt_s_legacy_patch16_224 tresnet_m twins_svt_small vgg11 vgg11_bn visformer_tiny vit_tiny_patch16_224
xcit_nano_12_p16_224 volo_d1_224 shvit_s1 mambaout_femto ghostnetv3_050 csatv2"""
OWN_SIZE = ("bat_resnext26ts", "halonet26t")
"""Of timm's: they take multiples of their blocks only."""
SMP = "Unet UnetPlusPlus MAnet Linknet FPN PSPNet DeepLabV3 DeepLabV3Plus PAN UPerNet Segformer"
MONAI = """UNet BasicUNet BasicUNetPlusPlus AttentionUnet SegResNet DynUNet VNet UNETR SwinUNETR DenseNet121
EfficientNetBN ResNet SEResNet50 HighResNet HighResBlock FlexibleUNet"""


@dataclass(frozen=True)
class Network:
    """A public network.

    Attributes:
        library: Option that asks for it.
        name: Its name there.
        make: Makes it without trained weights.
        shape: Input of one sample at full size.
        small: Input at which halves are compared, where the network takes it.
    """

    library: str
    name: str
    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    small: tuple[int, ...]


def networks(library: str) -> Iterator[Network]:
    """The networks of a library, in the order of the table."""
    yield from {"timm": _timm, "torchvision": _torchvision, "smp": _smp, "monai": _monai}[library]()


def _timm() -> Iterator[Network]:
    timm = import_module("timm")
    known = set(timm.list_models())
    for name in TIMM.split():
        if name in known:
            cfg = timm.get_pretrained_cfg(name)
            size = cfg.input_size[1] if cfg.fixed_input_size or name in OWN_SIZE else 224
            make = lambda name=name: timm.create_model(name, num_classes=10)  # noqa: E731
            yield Network("timm", name, make, (1, 3, size, size), (1, 3, 64, 64))


def _torchvision() -> Iterator[Network]:
    models = import_module("torchvision.models")
    for name in TORCHVISION.split():
        options = {"aux_logits": True, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
        side, small = (299, 96) if name == "inception_v3" else (224, 64)
        yield Network(
            "torchvision", name, lambda n=name, o=options: models.get_model(n, weights=None, num_classes=10, **o),
            (1, 3, side, side), (1, 3, small, small),
        )  # fmt: skip
    for name in SEGMENTATION.split():
        yield Network(
            "torchvision", name,
            lambda n=name: models.get_model(n, weights=None, weights_backbone=None, num_classes=4),
            (1, 3, 224, 224), (1, 3, 64, 64),
        )  # fmt: skip
    for name in ("r3d_18", "mc3_18", "r2plus1d_18"):
        make = lambda n=name: models.get_model(n, weights=None, num_classes=10)  # noqa: E731
        yield Network("torchvision", name, make, (1, 3, 8, 112, 112), (1, 3, 4, 32, 32))


def _smp() -> Iterator[Network]:
    smp = import_module("segmentation_models_pytorch")
    for name in SMP.split():
        make = lambda n=name: getattr(smp, n)("resnet18", encoder_weights=None, classes=3)  # noqa: E731
        yield Network("smp", f"{name} (resnet18)", make, (1, 3, 224, 224), (1, 3, 64, 64))
    for encoder in ("mobilenet_v2", "efficientnet-b0", "timm-regnetx_002", "mit_b0"):
        make = lambda e=encoder: smp.Unet(e, encoder_weights=None, classes=3)  # noqa: E731
        yield Network("smp", f"Unet ({encoder})", make, (1, 3, 224, 224), (1, 3, 64, 64))


def _monai() -> Iterator[Network]:
    nets = import_module("monai.networks.nets")
    flat = {"spatial_dims": 2, "in_channels": 1, "out_channels": 2}
    steps = {"channels": (16, 32, 64, 128), "strides": (2, 2, 2)}
    options = {
        "UNet": {**flat, **steps, "num_res_units": 2},
        "AttentionUnet": {**flat, **steps},
        "SegResNet": {**flat, "init_filters": 16},
        "DynUNet": {**flat, "kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]},
        "UNETR": {**flat, "img_size": 96, "feature_size": 16, "hidden_size": 192, "mlp_dim": 384, "num_heads": 6},
        "SwinUNETR": {**flat, "feature_size": 12},
        "EfficientNetBN": {"model_name": "efficientnet-b0", "spatial_dims": 2, "in_channels": 1, "pretrained": False},
        "ResNet": {
            "block": "basic", "layers": [2, 2, 2, 2], "block_inplanes": [64, 128, 256, 512], "spatial_dims": 2,
            "n_input_channels": 1, "num_classes": 2,
        },
        "SEResNet50": {"spatial_dims": 2, "in_channels": 1, "num_classes": 2, "pretrained": False},
        "FlexibleUNet": {"in_channels": 1, "out_channels": 2, "backbone": "efficientnet-b0", "pretrained": False},
    }  # fmt: skip
    for name in MONAI.split():
        kind = getattr(nets, name, None)
        if kind is not None:
            given = options.get(name, flat)
            make = lambda kind=kind, given=given: kind(**given)  # noqa: E731
            yield Network("monai", name, make, (1, 1, 96, 96), (1, 1, 96, 96))
