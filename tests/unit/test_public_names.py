"""The public names of `linnet`, pinned: a change here is a change of the interface."""

import pkgutil
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

import linnet

PUBLIC = [
    "Capture",
    "ChannelGraph",
    "LinnetError",
    "__version__",
    "core",
    "cost",
    "data",
    "engine",
    "ensemble",
    "errors",
    "jet",
    "load",
    "models",
    "nuclei",
    "optim",
    "prune",
    "recipe",
    "report",
    "resize",
    "results",
    "save",
    "spectra",
]

PUBLIC_OF = {
    "core": (
        "Call Capture ChannelClass ChannelGraph Cost Layer LayerCapture LayerRule Node Operator Program Ref Resized "
        "Slot Value Window add_layer add_layer_rule add_operator cost record resize rule rules "
    ),
    "data": (
        "Corrupted corrupt corrupt_set corruption_names "
        "ArrayLoader Augment Forster ImageSet NucleusImage Optics Photometric Standardise brightness_contrast "
        "cifar10_jpeg circuit_boards crop data_root digits fashion_mnist flip fluorescence_field forster hold_out "
        "image_folder magnetic_tiles mnist read_idx read_jpeg_container read_nucleus_set shift split_digest "
    ),
    "engine": (
        "Average Best Checkpoint Checkpoints Compute EarlyStop Epoch FitResult GroupSchedule Listener Loader Ranks Run "
        "Schedule Task as_loader derive_seed fit load load_checkpoint load_latest save save_checkpoint shard "
    ),
    "ensemble": (
        "Calibration Choice ClassPrediction Comparison Conformal Difference Equivalent Hatch HatchEnsemble "
        "MembersFit RejectionCurve Report Shift Trimmed ValuePrediction WidenedClass Widening aurc auroc brier "
        "calibrate classwise_ece compare deep_ensemble_equivalent e_aurc ece ece_debiased ece_debiased_interval "
        "evaluate fpr95 hatch nll rejection_curve trim widen "
    ),
    "errors": (
        "BudgetError CaptureError CheckpointError DataError FreezeError GraphError ImageError InputError LinnetError "
        "MismatchError MissingExtra NonFiniteLoss OptimizerStateError PointsError ProofError RecipeError ToolError "
        "TrainingError UnsupportedOperator "
    ),
    "jet": (
        "BinaryConv2d BinaryLinear CProgram Conversion JetConv2d Program Sign convert freeze kernel_name load_c "
        "parameter_groups "
    ),
    "models": (
        "BasicBlock ConvNet MLP NTKPerceptron ResNet ResidualUNet SmallUNet Tiny VGG create names ntk_mlp "
        "options resnet20 resnet56 vgg16 "
    ),
    "nuclei": (
        "BatchResult Count Detections Detector Evaluation Matching Thresholds detect evaluate load match "
        "read_points study train "
    ),
    "optim": ("EffectiveRates KroneckerOptions NaturalGradient Padam Prediction StepReport padam_lr predict "),
    "prune": ("Budget Masking Plan PruneStep Pruner Pruning adapt export extract plan scatter "),
    "recipe": ("Built Plan Problem RecipeTask Setting dry_run find_task installed parse run setting "),
    "report": (
        "BINS Cell Content Curve Section badge beside chart code data_uri figure image measured note number "
        "page picture_sheet prose record_sections score_colors score_legend steps svg_dots table tiles write_report "
    ),
    "results": (
        "Bin Record RunFolder append_record atomic_path atomic_write calibration_error classification_records "
        "command commit environment machine mean_interval read_records reliability share_interval t_interval "
        "versions write_records "
    ),
    "spectra": (
        "Density LRMap MeanField SafeLR Spectrum TraceKernel VerifiedLR density feature_metric fisher "
        "infinite_width_ntk input_metric lr_map ntk safe_lr steepest_directions theory theory_for verify_lr "
    ),
}

# What docs, messages and installed entry points name inside the folders.
INNER = (
    "linnet.core.labels.rule",
    "linnet.core.rule",
    "linnet.engine.files.tensor_file.read_tensors",
    "linnet.nuclei.recipe.TASK",
    "linnet.recipe.classify.TASK",
    "linnet.recipe.sections.prune.PruneSection",
    "linnet.recipe.toml.setting.setting",
)


def test_the_public_names_are_these():
    assert linnet.__all__ == PUBLIC
    assert dir(linnet) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_loads(name):
    assert getattr(linnet, name) is getattr(linnet, name)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(AttributeError, match=r"`nucleus`.*nuclei"):
        _ = linnet.nucleus


def test_import_loads_nothing_heavy():
    heavy = "import sys, linnet; print([m for m in ('torch', 'numpy', 'scipy', 'skimage', 'rich') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.parametrize("folder", PUBLIC_OF)
def test_the_names_of_each_folder_stay_and_load(folder):
    module = getattr(linnet, folder)
    for name in PUBLIC_OF[folder].split():
        assert getattr(module, name) is not None, name
        assert name in dir(module), name


@pytest.mark.parametrize("path", INNER)
def test_what_docs_and_messages_name_inside_the_folders_stays(path):
    module, _, name = path.rpartition(".")
    assert getattr(pkgutil.resolve_name(module), name) is not None


def test_the_tasks_that_are_installed_are_these():
    tasks = {entry.name: entry.value for entry in entry_points(group="linnet.tasks")}
    assert tasks == {"classify": "linnet.recipe.classify:TASK", "nuclei": "linnet.nuclei.recipe:TASK"}


def test_every_module_can_be_imported_without_a_warning():
    code = (
        "import importlib, pkgutil, linnet\n"
        "for module in pkgutil.walk_packages(linnet.__path__, 'linnet.'):\n"
        "    if not module.name.endswith('.__main__'): importlib.import_module(module.name)"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
