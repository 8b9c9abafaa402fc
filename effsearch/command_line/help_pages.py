"""How does a command's `--help` become a page that answers what a manual would?

Options are put in groups and told what kind of value they take; after the examples come the files that a command
reads and writes, how it ends, and what to look at next. `cli` gives commands and examples.
"""

from dataclasses import dataclass
from typing import Any  # a command of the parser's, whose classes typer keeps to itself

from effsearch.command_line.completion import COMPLETIONS

GROUPS: dict[str, tuple[str, ...]] = {
    "Data and space": ("data", "space", "base", "coefficients"),
    "Budget": (
        *("budget", "max_params", "max_activations", "max_latency", "latency_table", "resolution", "classes"),
    ),
    "Time": ("minutes", "trials", "screen_minutes", "dry_run", "stop_at"),
    "Family": ("phi", "rule", "budgets", "dwr_exponent"),
    "Rounding": ("max_resolution", "resolution_multiple", "fix_stem_head", "divisor", "floor"),
    "Objective": (
        *("objective", "reward_exponent", "step_time_exponent", "params_exponent", "multi_objective"),
    ),
    "Search": (
        *(
            "sampler",
            "screen",
            "rungs",
            "reduction",
            "warm_start",
            "anchors",
            "finalists",
            "search",
            "grid_step",
        ),
        *("tolerance", "seeds", "check", "seed", "of", "factor", "networks", "arms", "longer"),
    ),
    "Training": ("recipe", "batch_size", "lr", "accumulate", "init", "family", "tensorboard"),
    "Proxy": ("proxy_resolution", "min_map", "images", "epochs", "proxy_width", "train_fn"),
    "Where trainings run": (
        *(
            "workers",
            "engine",
            "address",
            "trial_timeout",
            "device",
            "precision",
            "gpu_share",
            "cpus_per_trial",
        ),
    ),
    "Pruning": ("importance", "share", "steps"),
    "Export": ("to", "weights", "features", "calibration_images"),
    "Output": ("run", "out", "storage", "as_json", "config"),
}
GROUP_IN: dict[tuple[str, str], str] = {
    **{("train", name): "Training" for name in ("epochs", "resolution", "seed")},
    **{("prune", name): "Pruning" for name in ("weights", "divisor")},
    **{("prune", name): "Training" for name in ("epochs", "seed")},
    **{("profile", name): "Network" for name in ("resolution", "classes")},
    **{
        ("profile", name): "Latency"
        for name in ("latency", "runtime", "device", "threads", "batch", "space", "out")
    },
    **{("export", name): "Export" for name in ("data", "seed")},
    ("status", "watch"): "Output",
    ("repair", "yes"): "Output",
    ("dashboard", "port"): "Output",
}
"""By command and parameter, where a group of GROUPS would mislead."""

VALUES = {
    **dict.fromkeys(("minutes", "screen_minutes", "trial_timeout"), "MINUTES"),
    **dict.fromkeys(("resolution", "max_resolution", "proxy_resolution", "min_map"), "PIXELS"),
    **dict.fromkeys(("budget", "budgets", "max_params", "max_activations"), "COST"),
    **dict.fromkeys(("data",), "DATA"),
    **dict.fromkeys(("max_latency",), "TIME"),
    **dict.fromkeys(("base", "network"), "NETWORK"),
    **dict.fromkeys(("run", "runs", "warm_start"), "RUN"),
    **dict.fromkeys(("space",), "SPACE"),
}
"""What an option takes, where its unit says more than its type."""

EXIT_STATUS = (
    "0 done; 1 it went wrong at run time; 2 what was typed, or a file that was given, cannot be used; 130 stopped by "
    "Ctrl-C; 143 by SIGTERM. Errors are one line on stderr; progress goes there too, results to stdout."
)


@dataclass(frozen=True, slots=True)
class Files:
    """What a command reads and writes, and what to look at next."""

    reads: str
    writes: str
    see_also: tuple[str, ...]


FILES: dict[str, Files] = {
    "baseline": Files(
        "the images of --data, decoded once into $EFFSEARCH_CACHE (else ~/.cache/effsearch)",
        "runs/baseline-DATE-TIME/ or --run: ledger.jsonl, trials.csv, specs/best.json, report.json, plots/front.png",
        ("scale", "train", "report", "status"),
    ),
    "scale": Files(
        "the base, and where coefficients are searched its run's images",
        "family/ in the base's run, else NAME-family/: a spec for each network and family.json; a run of the search",
        ("ablate", "plot", "train"),
    ),
    "ablate": Files(
        "the base and the images", "runs/ablate-DATE-TIME/ or --run", ("scale", "plot", "report")
    ),
    "train": Files(
        "the network, the images, and weights given with --init",
        "runs/train-DATE-TIME/ or --run: checkpoints/best.safetensors, history.csv, specs/trained.json, report.json; "
        "what it came to, in the run of the search or the family",
        ("export", "prune", "baseline"),
    ),
    "prune": Files(
        "the network's weights, and the images that they were trained on",
        "runs/prune-DATE-TIME/ or --run: checkpoints/pruned.safetensors from before the training, best.safetensors, "
        "history.csv, specs/trained.json, report.json",
        ("train", "export", "profile"),
    ),
    "plot": Files("run directories", "plots/front.png in the run, or --out", ("report", "baseline")),
    "report": Files(
        "one run directory, finished or not", "report.html in the run, or --out", ("plot", "explain")
    ),
    "validate": Files("a baseline run and its images", "validation*.json in the run", ("explain", "report")),
    "explain": Files(
        "a baseline run of 8 networks or more", "importance.csv in the run", ("validate", "report")
    ),
    "status": Files("status.json and ledger.jsonl of a run", "nothing", ("dashboard", "report")),
    "repair": Files(
        "all files of a run",
        "nothing; with --yes the files that are damaged, each kept beside as .damaged or .bak",
        ("status", "report"),
    ),
    "dashboard": Files("study.journal of a run", "nothing", ("status", "report")),
    "profile": Files(
        "a preset or a spec file", "nothing; with --space the file that --out names", ("presets", "export")
    ),
    "export": Files(
        "a preset, a spec file or a run; for onnx-int8 images too",
        "one file here, or --out; weights and names beside it where the target keeps them apart",
        ("train", "prune", "profile"),
    ),
    "spaces": Files("nothing", "nothing", ("baseline", "presets")),
    "presets": Files("nothing", "nothing", ("profile", "scale", "spaces")),
}


def arrange(program: Any) -> Any:
    """Put every command's options in groups, complete their values, and end its help as a manual page ends."""
    for name, command in program.commands.items():
        for parameter in command.params:
            _arrange_parameter(name, parameter)
        _group_help_option(command)
        command.help = _unwrap(command.help or "")
        command.epilog = "\n\n".join(filter(None, (command.epilog, _ending(name))))
    return program


def _group_help_option(command: Any) -> None:
    make_option = command.get_help_option

    def grouped(context: Any) -> Any:
        option = make_option(context)
        option.rich_help_panel = "Output"
        return option

    command.get_help_option = grouped


def _arrange_parameter(command: str, parameter: Any) -> None:
    if parameter.name in COMPLETIONS and parameter._custom_shell_complete is None:
        complete = COMPLETIONS[parameter.name]
        parameter._custom_shell_complete = lambda context, asked, incomplete: complete(incomplete)
    is_argument = parameter.param_type_name == "argument"
    if not is_argument and parameter.rich_help_panel is None:
        groups = (group for group, names in GROUPS.items() if parameter.name in names)
        parameter.rich_help_panel = GROUP_IN.get((command, parameter.name)) or next(groups, None)
    kind = parameter.type_descriptor
    if getattr(parameter, "is_flag", False):
        parameter.metavar = " "  # a flag takes nothing, and typer would say that it takes a bool
    elif parameter.metavar is None and not is_argument:
        parameter.metavar = VALUES.get(parameter.name) or _value_of(kind)
    if kind.is_ranged and parameter._get_number_range_help_str():
        parameter.help = f"{parameter.help} {_range_of(parameter)}"
        parameter._get_number_range_help_str = lambda: ""  # it writes [0<=x<=2147483647]
    if kind.is_choice and not is_argument:  # in the text, where there is room at 80 columns
        words = [getattr(choice, "value", choice) for choice in kind.choices]
        parameter.help = f"{parameter.help} One of {', '.join(words)}."


def _range_of(parameter: Any) -> str:
    if parameter.max is None or parameter.max == 2**31 - 1:
        return f"At least {parameter.min:,}."
    return f"From {parameter.min:,} to {parameter.max:,}."


def _value_of(kind: Any) -> str:
    if kind.is_choice:
        return "WORD"
    if kind.annotation is int:
        return "N"
    return "X" if kind.annotation is float else "PATH" if kind.is_path else "TEXT"


def _ending(name: str) -> str:
    parts = []
    if name in FILES:
        files = FILES[name]
        parts.append(f"[bold]Files[/]\nReads {files.reads}.\nWrites {files.writes}.")
    parts.append(f"[bold]Exit status[/]\n{EXIT_STATUS}")
    if name in FILES:
        others = ", ".join(f"effsearch {other} --help" for other in FILES[name].see_also)
        parts.append(f"[bold]See also[/]\n{others}")
    return "\n\n".join(parts)


def _unwrap(text: str) -> str:
    """Let a paragraph be as wide as the terminal, not as its source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
