"""The command line: which commands there are, and how each ends.

Results go to stdout, progress and errors to stderr; every error is one line. What a command may be asked stands in
`command_line`.
"""

import difflib
import errno
import io
import os
import re
import signal
import sys
from types import FrameType
from typing import Annotated, Any

import typer

from effsearch import __version__
from effsearch.command_line.ablate import ablate
from effsearch.command_line.baseline import baseline
from effsearch.command_line.help_pages import arrange
from effsearch.command_line.interrupts import INTERRUPTED, answered, note_stop, stopped_by
from effsearch.command_line.networks import export, presets, profile, spaces
from effsearch.command_line.prune import prune
from effsearch.command_line.runs import dashboard, explain, plot, repair, report, status, validate
from effsearch.command_line.scale import scale
from effsearch.command_line.shared import Task, claims, do_task
from effsearch.command_line.train import train
from effsearch.results.run_log import DEBUG_VARIABLE, is_debugging, stack_of
from effsearch.space.errors import EffsearchError
from effsearch.space.passwords import hide_passwords
from effsearch.space.printable import one_line, printable

AGAIN = "the same command with the same --run goes on"
STOPPED = f"stopped; {AGAIN}"
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE, errno.ENODEV}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # of these, those that need room
RUN_COMMANDS = {"baseline", "scale", "ablate", "train", "prune", "validate"}  # each goes on where it stopped
_BAD_PATHS = (errno.ENAMETOOLONG, errno.ELOOP)  # what was typed or written can be no path
COMPLETING = "_EFFSEARCH_COMPLETE"  # what a shell asks for a completion with

app = typer.Typer(
    name="effsearch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find an efficient image network for your data and your compute, then a whole family of it.",
)


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"effsearch {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show the traceback of an error, and write it to the run's log (EFFSEARCH_DEBUG=1).",
        ),
    ] = False,
) -> None:
    if debug:
        os.environ[DEBUG_VARIABLE] = "1"  # workers hear it too


def examples(*calls: str) -> str:
    """Give the examples of a command's help; what else ends it is `help_pages.arrange`'s."""
    return "\n".join(("[bold]Example[/]" if len(calls) == 1 else "[bold]Examples[/]", *calls))


app.command(
    epilog=examples(
        "effsearch baseline --budget 400M-FLOPs",
        "effsearch baseline --budget 400M-FLOPs --data photos/ --minutes 60 --run runs/photos",
        "effsearch baseline --budget 60M-FLOPs --max-params 2M --space nas-bench-macro --data cifar10 --trials 50",
    )
)(baseline)
app.command(
    epilog=examples(
        "effsearch scale --phi 1..7",
        "effsearch scale --base efficientnet-b0 --coefficients 1.2,1.1,1.15 --rule solve --phi -2..3",
        "effsearch scale --base mobilenet-v2 --rule solve --budgets 800M,1.6G,3.2G-FLOPs",
        "effsearch scale --base runs/photos --search random --minutes 30 --phi 0.5,1,2",
    )
)(scale)
app.command(
    epilog=examples(
        "effsearch ablate --base efficientnet-b0 --factor 4 --data cifar10 --minutes 60",
        "effsearch ablate --base runs/photos --factor 2,4,8 --arms depth,width,compound",
        "effsearch ablate --base runs/photos --coefficients runs/scale-photos --longer 4",
    )
)(ablate)
app.command(
    epilog=examples(
        "effsearch train runs/photos",
        "effsearch train efficientnet-b0 --data photos/ --init b0.safetensors --epochs 20 --lr 0.05",
        "effsearch train runs/photos --recipe efficientnet --epochs 100 --run runs/photos-trained",
        "effsearch train runs/photos --family --recipe efficientnetv2",
    )
)(train)
app.command(
    epilog=examples(
        "effsearch prune runs/photos-trained --budget 30M-FLOPs",
        "effsearch prune runs/photos-trained --budget 30M-FLOPs --max-params 1M --epochs 20 --run runs/photos-pruned",
        "effsearch prune net.json --weights net.safetensors --data photos/ --budget 1M-params --steps 4",
    )
)(prune)
app.command(
    epilog=examples(
        "effsearch plot",
        "effsearch plot runs/photos runs/b --out front.svg",
    )
)(plot)
app.command(
    epilog=examples(
        "effsearch report",
        "effsearch report runs/photos --out photos.html",
    )
)(report)
app.command(
    epilog=examples(
        "effsearch validate runs/photos",
        "effsearch validate runs/photos --of screening --networks 40 --stop-at 0.7 --minutes 60",
    )
)(validate)
app.command(
    epilog=examples(
        "effsearch repair runs/photos",
        "effsearch repair runs/photos --yes",
    )
)(repair)
app.command(
    epilog=examples(
        "effsearch explain runs/photos",
        "effsearch explain runs/mine --space mine.yaml --json",
    )
)(explain)
app.command(
    epilog=examples(
        "effsearch status",
        "effsearch status runs/photos --watch",
    )
)(status)
app.command(
    epilog=examples(
        "effsearch dashboard",
        "effsearch dashboard runs/photos --port 8081",
    )
)(dashboard)
app.command(
    epilog=examples(
        "effsearch profile efficientnet-b0 --json",
    )
)(profile)
app.command(
    epilog=examples(
        "effsearch export runs/photos --to torch",
        "effsearch export efficientnet-b0 --to timm --weights b0.safetensors",
        "effsearch export runs/photos/family/photos-phi3.json --to onnx --features",
    )
)(export)
app.command(epilog=examples("effsearch spaces"))(spaces)
app.command(epilog=examples("effsearch presets --json"))(presets)


def make_program() -> Any:
    """Give the whole command line, as the parser has it."""
    return arrange(typer.main.get_command(app))


def _end_by_signal(number: int, frame: FrameType | None) -> None:
    """End with what is kept saved; a second signal ends at once, since files are replaced whole whenever that is."""
    note_stop(128 + number)
    signal.signal(number, _end_at_once)
    raise SystemExit(128 + number)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    os._exit(128 + number)


def main() -> None:
    """Run the command line; every error is one line on stderr."""
    signal.signal(signal.SIGTERM, _end_by_signal)
    # The driver's matrices are small and its workers have all the cores: with two threads here, each waiting for a
    # busy core, reading the importance off 200 trainings took 20 to 67 s; with one 2 to 3 s. Before numpy loads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Workers begin as `python -c`, which would look for modules in the working directory first: a file called
    # random.py in a folder that somebody else has filled is not to run.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    _show_any_name()
    with answered(), claims():
        _run()


def _run() -> None:
    command = make_program()
    try:
        asked = command.main(standalone_mode=False) or 0
        if isinstance(asked, Task):
            do_task(asked)
            sys.exit(0)
        if asked == INTERRUPTED:  # the parser turns Ctrl-C into this
            _fail(STOPPED, INTERRUPTED)
        sys.exit(asked)
    except SystemExit as ended:
        if ended.code and ended.code == stopped_by():  # SIGTERM
            _fail(STOPPED, stopped_by())
        raise
    except EffsearchError as error:
        _show_traceback(error)
        _fail(_with_remedy(str(error)), error.exit_code)
    except KeyboardInterrupt:
        _fail(STOPPED, INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout has left, as `head` does
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        _show_traceback(error)
        if error.errno in DISK_ERRORS:  # whoever wrote it has not said so better
            _fail(
                _with_remedy(f"cannot write {error.filename or 'a file'}: {error.strerror}", is_run=True), 1
            )
        if error.errno in _BAD_PATHS:
            _fail(f"cannot read {error.filename}: {error.strerror}; give another path", 2)
        _fail(f"a bug in effsearch, please report it: {type(error).__name__}: {error}", 1)
    except Exception as error:
        if stopped_by():  # in the middle of an import, whose library made another error of it
            _fail(STOPPED, stopped_by())
        if (
            hasattr(error, "format_message") and not error.format_message()
        ):  # no command: the help was printed
            sys.exit(2)
        if hasattr(error, "format_message"):  # what the command line parser could not read
            _fail(_parser_words(error.format_message()), 2)
        if COMPLETING in os.environ and isinstance(error, KeyError | ValueError):
            _fail(f"nothing to complete: {COMPLETING} is for the script of effsearch --show-completion", 2)
        _show_traceback(error)
        _fail(f"a bug in effsearch, please report it: {type(error).__name__}: {error}", 1)


def _show_traceback(error: BaseException) -> None:
    """Print how an error came about, where `--debug` asks for it; the line that says what it was comes after it."""
    if is_debugging():
        sys.stderr.write(printable(hide_passwords(stack_of(error))))


def _with_remedy(message: str, *, is_run: bool = False) -> str:
    """Say what to do about a right that is missing or a disk that fails, where whoever met it has not.

    Args:
        message: What went wrong.
        is_run: Whether a run is at work, whatever was typed.
    """
    is_run = is_run or bool(RUN_COMMANDS & set(sys.argv[1:]))
    if is_run and message.startswith("cannot write") and AGAIN not in message:
        if message.endswith(("is the disk full?", *map(os.strerror, FULL))):
            return f"{message}; make room, then {AGAIN}"
        if message.endswith(tuple(map(os.strerror, DISK_ERRORS))):
            return f"{message}; once that is mended, {AGAIN}"
    denied = os.strerror(errno.EACCES)
    if not message.endswith(denied):
        return message
    return f"{message}; it is another user's or closed: ask its owner, or chmod it"


def _parser_words(message: str) -> str:
    """Give what the parser says of an option, without its own kind of error and with the nearest choice."""
    words = message.replace("Value error, ", "")
    if found := re.search(r"'([^']*)' is not one of (.*)\.$", words):
        near = difflib.get_close_matches(found[1], re.findall(r"'([^']*)'", found[2]), n=1)
        return f"{words[:-1]}; did you mean {near[0]!r}?" if near else words
    option = re.match(r"Invalid value for '(--?[\w-]+)'", words)
    if option and option[1] in sys.argv[1:-1]:  # the parser does not always say what came
        came = sys.argv[sys.argv.index(option[1]) + 1]
        return words if came and came in words else f"{words.rstrip('.')}, got {came!r}"
    return words


def _show_any_name() -> None:
    """Have stdout and stderr take what no encoding holds, such as a file's name of undecodable bytes, by its code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _fail(message: str, exit_code: int) -> None:
    print(f"effsearch: {one_line(hide_passwords(message))}", file=sys.stderr)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
