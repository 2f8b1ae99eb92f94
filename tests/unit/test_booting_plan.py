"""What `tox -e kernels` boots: targets, packages, modules, command lines. Nothing boots here."""

import itertools
import lzma
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from agent.model import TRANSPORTS
from agent.sections.probes import DETAILS, SCOPED_DETAILS
from agent.words import TIMINGS
from tools.kernels import guest, initrd, packages
from tools.kernels.commands import Failed, need_programs, run
from tools.kernels.inside import matrix
from tools.kernels.inside.__main__ import STEPS
from tools.kernels.inside.choices import DETAILS as EITHER
from tools.kernels.inside.choices import SCOPES, Choice, every, half
from tools.kernels.targets import DEFAULT, REST, UnknownTarget, chosen, roots


def test_targets_are_chosen_by_name() -> None:
    assert chosen([], full=False) == DEFAULT
    [one] = chosen(["6.12-arm64", "6.12-arm64"], full=False)
    assert (one.series, one.architecture) == ("6.12", "arm64")
    [one] = chosen(["6.1-amd64"], full=False, steps=["demo"])
    assert one.steps == ("demo",)
    with pytest.raises(UnknownTarget, match=r"no target 4\.4-amd64; there are: 6\.1-amd64, "):
        chosen(["4.4-amd64"], full=False)


def test_full_adds_targets_and_the_rest_of_the_matrix() -> None:
    names = [target.name for target in chosen([], full=True)]
    assert names == [target.name for target in (*DEFAULT, *REST)]
    assert len(set(names)) == len(names)
    [one] = chosen(["5.10-amd64"], full=True)
    assert one.steps == ("demo", "matrix_full")


def test_every_step_exists_and_has_a_limit() -> None:
    targets = {*chosen([], full=False), *chosen([], full=True)}
    assert {step for target in targets for step in target.steps} == set(STEPS)
    assert set(guest.STEP_SECONDS) == set(STEPS)
    assert len(roots(DEFAULT)) == 2


def kinds(choice: Choice) -> tuple[str, str, bool, str]:
    return choice.timing, choice.transport, choice.scope != "system", choice.details


def test_half_of_the_matrix_has_any_three_choices_together() -> None:
    assert len(every()) == len(set(every())) == 24
    assert {choice.scope for choice in half()} == set(SCOPES)
    assert set(half()) < set(every())
    levels = (TIMINGS, TRANSPORTS, (False, True), EITHER)
    for three in itertools.combinations(range(4), 3):
        wanted = set(itertools.product(*(levels[factor] for factor in three)))
        assert {tuple(kinds(choice)[factor] for factor in three) for choice in half()} == wanted


def test_details_that_need_a_scope_are_asked_for_with_one_only() -> None:
    system = matrix.body(Choice("clock", "ring", "system", "all"), 1)
    scoped = matrix.body(Choice("clock", "ring", "pid", "all"), 4711)
    assert scoped["scope"] == {"pid": 4711}
    assert set(scoped["details"]) == set(DETAILS)
    assert set(system["details"]) == set(DETAILS) - set(SCOPED_DETAILS)


def test_what_a_run_has_not_seen_is_named() -> None:
    evidence: dict[str, Any] = {
        "scope": {"kind": "system"},
        "wall": {"available": False, "reason": "it is about a scope"},
        "runqlat": {"count": 5},
        "offcpu": {"total_ms": 0.0},
        "exec": {"exec_count": 10},
        "syscall_counts": {"fsync": 9},
    }
    assert matrix.missed(evidence) == [
        "offcpu.total_ms is 0.0, not 180 or more",
        "syscall_counts.fsync is 9, not 10 or more",
    ]


def test_of_a_scope_the_wall_time_is_to_be_divided() -> None:
    evidence: dict[str, Any] = {"scope": {"kind": "cgroup"}, "wall": {"available": True}}
    assert matrix.without_wall(evidence) == {}
    evidence["wall"] = {"available": False, "reason": "a program was refused"}
    assert matrix.without_wall(evidence) == {"wall": "a program was refused"}
    evidence["scope"] = {"kind": "system"}
    assert matrix.without_wall(evidence) == {}


NAMES = re.findall(
    r"\S+",
    """
linux-image-5.10.0-35-cloud-amd64 linux-image-6.1.0-40-cloud-amd64
linux-image-6.1.0-0.deb11.35-cloud-amd64 linux-image-6.1.0-40-cloud-amd64-unsigned
linux-image-6.1.0-40-amd64 linux-image-6.12.48+deb13-cloud-amd64 linux-image-6.12.9+bpo-cloud-amd64
linux-image-6.12.48+deb13-rt-amd64 linux-image-6.12.48+deb13-amd64 linux-image-cloud-amd64
linux-image-6.12.48+deb13-arm64-16k linux-image-6.1-cloud-amd64 linux-image-6.9.1+deb13-cloud-amd64
""",
)


@pytest.mark.parametrize(
    ("series", "ending", "found"),
    [
        ("6.1", "cloud-amd64", [NAMES[2], NAMES[1]]),
        ("6.12", "cloud-amd64", [NAMES[5], NAMES[6]]),
        ("newest", "cloud-amd64", [NAMES[5], NAMES[6]]),
        ("6.12", "amd64", [NAMES[8]]),
        ("6.12", "arm64-16k", [NAMES[10]]),
        ("4.19", "cloud-amd64", []),
    ],
)
def test_kernels_are_found_by_name(series: str, ending: str, found: list[str]) -> None:
    assert packages.names_of(NAMES, series, ending) == found


def test_from_6_19_on_an_image_package_names_the_packages_with_its_files() -> None:
    depends = "linux-base-7.2.1+deb14-cloud-amd64 (= 7.2.1-1), kmod, "
    depends += "linux-binary-7.2.1+deb14-cloud-amd64 (= 7.2.1-1), linux-modules-7.2.1+deb14"
    assert packages.PARTS.findall(depends) == [
        "linux-base-7.2.1+deb14-cloud-amd64",
        "linux-binary-7.2.1+deb14-cloud-amd64",
        "linux-modules-7.2.1+deb14",
    ]
    assert not packages.PARTS.findall("kmod, linux-base (>= 4.3~), initramfs-tools (>= 0.120+)")


def test_apt_is_told_to_stay_in_its_folder(tmp_path: Path) -> None:
    text = packages.configuration(tmp_path)
    paths = [line.split('"')[1] for line in text.splitlines() if line.startswith("Dir::")]
    assert all(path == "/dev/null" or path.startswith(str(tmp_path)) for path in paths)


def test_the_cache_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert packages.cache_folder().is_relative_to(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert packages.cache_folder().is_relative_to(Path.home())


def test_an_unpacked_kernel_is_found_in_either_layout(tmp_path: Path) -> None:
    package = packages.Package("linux-image-6.1.0-40-cloud-amd64", "amd64", "6.1.153-1")
    release = "6.1.0-40-cloud-amd64"
    with pytest.raises(Failed, match="has no kernel image or modules"):
        packages.unpacked_kernel(package, tmp_path)
    (tmp_path / "usr/lib/modules" / release).mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / f"vmlinuz-{release}").touch()
    kernel = packages.unpacked_kernel(package, tmp_path)
    assert kernel.image == tmp_path / "boot" / f"vmlinuz-{release}"
    kernel.image.rename(kernel.modules / "vmlinuz")
    kernel = packages.unpacked_kernel(package, tmp_path)
    assert (kernel.release, kernel.image) == (release, kernel.modules / "vmlinuz")


def a_folder_of_modules(tmp_path: Path) -> Path:
    folder = tmp_path / "lib/modules/6.1.0-40-cloud-amd64"
    (folder / "kernel").mkdir(parents=True)
    for name in ("virtio", "virtio_ring", "virtio_blk", "virtio_pci"):
        (folder / f"kernel/{name}.ko.xz").write_bytes(lzma.compress(name.encode()))
    (folder / "modules.dep").write_text(
        "kernel/virtio.ko.xz:\n"
        "kernel/virtio_ring.ko.xz: kernel/virtio.ko.xz\n"
        "kernel/virtio_blk.ko.xz: kernel/virtio_ring.ko.xz kernel/virtio.ko.xz\n"
        "kernel/virtio_pci.ko.xz: kernel/virtio_ring.ko.xz kernel/virtio.ko.xz\n"
    )
    (folder / "modules.softdep").write_text("# nothing\n")
    (folder / "modules.alias").write_text("# nothing\n")
    (folder / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\n")
    return folder


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    order = initrd.load_order(a_folder_of_modules(tmp_path))
    assert [path.name.partition(".")[0] for path in order] == [
        *("virtio", "virtio_ring", "virtio_pci", "virtio_blk")
    ]
    assert initrd.uncompressed(order[0]) == b"virtio"


def test_modules_are_loaded_after_what_they_will_ask_for(tmp_path: Path) -> None:
    """None of the needed modules uses a symbol of a checksum's, and ext4 mounts nothing without."""
    folder = a_folder_of_modules(tmp_path)
    with (folder / "modules.dep").open("a") as file:
        file.write(
            "kernel/jbd2.ko.xz:\n"
            "kernel/ext4.ko.xz: kernel/jbd2.ko.xz\n"
            "kernel/crc32c_generic.ko.xz:\n"
            "kernel/crc32c-intel.ko.xz: kernel/checksums.ko.xz\n"
            "kernel/checksums.ko.xz:\n"
            "kernel/after.ko.xz:\n"
        )
    (folder / "modules.softdep").write_text(
        "# Soft dependencies extracted from modules themselves.\n"
        "softdep jbd2 pre: crypto-crc32c\n"
        "softdep ext4 pre: crypto-crc32c built-in post: after\n"
        "softdep checksums pre: ext4\n"
        "softdep virtio_ring aes\n"
    )
    (folder / "modules.alias").write_text(
        "# Aliases extracted from modules themselves.\n"
        "alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci\n"
        "alias crypto-crc32c crc32c_intel\n"
        "alias crypto-crc32c crc32c_generic\n"
    )
    order = [path.name.partition(".")[0] for path in initrd.load_order(folder)]
    assert order[4:] == ["checksums", "crc32c-intel", "crc32c_generic", "jbd2", "ext4"]


def test_a_kernel_without_the_modules_is_refused(tmp_path: Path) -> None:
    folder = a_folder_of_modules(tmp_path)
    (folder / "modules.builtin").write_text("")
    with pytest.raises(Failed, match="has no module ext4"):
        initrd.load_order(folder)


@pytest.mark.parametrize("target", [*DEFAULT, *REST], ids=lambda target: target.name)
def test_a_guest_leaves_its_root_file_system_as_it_is(target: guest.Target) -> None:
    words = guest.command(a_boot_of(target), Path("/results"))
    assert "file=/r,if=none,id=root,format=raw,snapshot=on" in words
    assert "file=/results,if=none,id=results,format=raw,snapshot=off" in words
    assert str(target.cpus) in words
    parameters = words[words.index("-append") + 1].split()
    assert f"chainbench.steps={','.join(target.steps)}" in parameters
    assert f"chainbench.seconds={guest.limit(target.steps)}" in parameters


def test_results_are_what_the_guest_wrote_to_the_disk(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/results.json").write_text("{}")
    raw = tmp_path / "results.raw"
    with tarfile.open(raw, "w") as tar:
        tar.add(tmp_path / "in", ".")
    with raw.open("ab") as file:
        file.truncate(1 << 20)
    assert guest.unpack(raw, tmp_path / "out")
    assert (tmp_path / "out/results.json").read_text() == "{}"
    raw.write_bytes(bytes(1 << 20))
    assert not guest.unpack(raw, tmp_path / "nothing")


def a_boot_of(target: guest.Target) -> guest.Boot:
    package = packages.Package("linux-image", target.architecture, "1")
    return guest.Boot(
        target, packages.Kernel(package, "1", Path("/k"), Path("/m")), Path("/i"), Path("/r")
    )


def test_a_guest_that_panics_is_booted_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here a shell is the emulator: the first boot panics, the second writes results."""
    script = """
        echo "@@ booting"
        if mkdir "$0/panicked" 2>/dev/null; then echo "Kernel panic - not syncing: no"; exit; fi
        cd "$0" && touch results.json && tar -cf "$1" results.json
    """

    def emulated(_: guest.Boot, results: Path) -> list[str]:
        return ["sh", "-c", script, str(tmp_path), str(results)]

    monkeypatch.setattr(guest, "command", emulated)
    news: list[str] = []
    came = guest.run(a_boot_of(DEFAULT[0]), tmp_path / "guest", news.append)
    assert [path.name for path in came.folder.iterdir()] == ["results.json"]
    assert came.panics == ("Kernel panic - not syncing: no",)
    assert news == ["booting", "Kernel panic - not syncing: no", "booting"]


@pytest.mark.parametrize("said", ["no root file system", "Kernel panic - not syncing: again"])
def test_a_guest_without_results_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    monkeypatch.setattr(guest, "command", lambda *_: ["echo", said])
    with pytest.raises(Failed, match=f"its console ends with:\n{said}"):
        guest.run(a_boot_of(DEFAULT[0]), tmp_path / "guest", lambda _: None)


def test_a_program_that_fails_is_quoted() -> None:
    assert run("printf", "said") == "said"
    with pytest.raises(Failed, match="exited with 3:\nwhy"):
        run("sh", "-c", "echo why >&2; exit 3")
    with pytest.raises(Failed, match="no-such-program: No such file"):
        run("no-such-program")


def test_missing_programs_are_named_by_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Failed, match=r"apt-get install .*mmdebstrap.* qemu-system-arm") as caught:
        need_programs(["arm64"])
    assert "qemu-system-x86" not in str(caught.value)


def test_a_busybox_that_debian_has_moved_fails_one_target_and_not_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packages.Archive(tmp_path)
    monkeypatch.setattr(archive, "_packages", lambda names, architecture: [])
    monkeypatch.setattr(archive, "_unpack", lambda *_: tmp_path)
    with pytest.raises(Failed, match="busybox-static for arm64 has no bin/busybox"):
        archive.busybox("arm64")
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "busybox").touch()
    assert archive.busybox("arm64") == tmp_path / "usr" / "bin" / "busybox"
