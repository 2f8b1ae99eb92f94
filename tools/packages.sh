# Packages that make targets need, by their Debian names, and their names elsewhere. Sourced by setup
# and check-packages; `has` and TARGET are the caller's.

# Names that differ from Debian's: on Ubuntu where it does not know Debian's, on Fedora always.
readonly TOOLS_OF_UBUNTU="linux-tools-common linux-tools-$(uname -r)"
declare -rA ON_UBUNTU=([linux-perf]=$TOOLS_OF_UBUNTU [bpftool]=$TOOLS_OF_UBUNTU)
declare -rA ON_FEDORA=(
    [python3-bpfcc]=python3-bcc [python3-venv]=python3 [linux-perf]=perf [rt-tests]=realtime-tests
    [prometheus]=golang-github-prometheus [libc6-dev]=glibc-devel
)

# Print the missing packages by their names in one of these lists, each name once.
names_on() {
    local -n names=$1
    local package
    for package in "${missing[@]}"; do printf '%s\n' ${names[$package]:-$package}; done |
        awk '!seen[$0]++' | paste -sd ' '
}

# Whether the Python bindings of libbcc are installed. PyPI's bcc is an unrelated library.
has_bcc() {
    local python
    for python in /usr/bin/python3 python3; do
        "$python" -I - 2>/dev/null <<-'EOF' && return 0
			import importlib.util, os, sys
			spec = importlib.util.find_spec("bcc")
			folders = spec.submodule_search_locations if spec else []
			sys.exit(not any(os.path.exists(os.path.join(f, "libbcc.py")) for f in folders))
		EOF
    done
    return 1
}

# Set $missing to the missing packages of this target, by their Debian names.
find_missing() {
    missing=()
    if [[ $TARGET == kernels ]]; then
        find_missing_emulators
        return
    fi
    has_bcc || missing+=(python3-bpfcc)
    /usr/bin/python3 -I -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [[ $TARGET == run ]] && return
    has perf || missing+=(linux-perf)
    has hackbench || missing+=(rt-tests)
    has fio || missing+=(fio)
    has bpftrace || missing+=(bpftrace)
    has offcputime || has offcputime-libbpf || missing+=(libbpf-tools)
    if [[ $TARGET == bench ]]; then
        # for `python -m benchmarks verdicts`
        has gcc || missing+=(gcc libc6-dev)
        has make || missing+=(make)
        has strace || missing+=(strace)
        has mkfs.ext4 || missing+=(e2fsprogs)
        return
    fi
    has bpftool || missing+=(bpftool)
    has stress-ng || missing+=(stress-ng)
    has mkfs.ext4 || missing+=(e2fsprogs)
    has mkfs.xfs || missing+=(xfsprogs)
    has mkfs.btrfs || missing+=(btrfs-progs)
    has prometheus && has promtool || missing+=(prometheus)
    has victoria-metrics || missing+=(victoria-metrics)
    has curl || missing+=(curl)
    has hyperfine || missing+=(hyperfine)
    has chromium || missing+=(chromium)
}

# for `tox -e kernels`, which boots other kernels
find_missing_emulators() {
    has qemu-system-x86_64 || missing+=(qemu-system-x86)
    has qemu-system-aarch64 || missing+=(qemu-system-arm)
    has qemu-aarch64-static || missing+=(qemu-user-static)
    has update-binfmts || missing+=(binfmt-support)
    has arch-test || missing+=(arch-test)
    has mmdebstrap || missing+=(mmdebstrap)
    has cpio || missing+=(cpio)
    has depmod || missing+=(kmod)
    has mke2fs || missing+=(e2fsprogs)
}
