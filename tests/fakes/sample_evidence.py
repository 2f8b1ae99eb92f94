"""Sample evidence and status of an agent, for tests of code that reads evidence."""

from typing import Any


def latency(**changes: Any) -> dict[str, Any]:
    section: dict[str, Any] = {
        "histogram": [
            {"bucket_us": 0, "count": 12},
            {"bucket_us": 1, "count": 1500},
            {"bucket_us": 2, "count": 9000},
            {"bucket_us": 4, "count": 2100},
            {"bucket_us": 16, "count": 40},
            {"bucket_us": 1024, "count": 3},
        ],
        "count": 12655,
        "lost": 0,
        "min_us": 0.412,
        "p50_us": 2.98,
        "p90_us": 5.1,
        "p95_us": 6.31,
        "p99_us": 15.7,
        "p999_us": 24.25,
        "max_us": 1892.4,
        "mean_us": 3.6,
        "hdr": "HISTFAAAACF4nJNpmSzMwMDAxAABzFCaEUQ==",
    }
    return section | changes


def evidence(**changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "available": True,
        "run_id": "20260301T101112-7f3a",
        "started_at": "2026-03-01T10:11:12.000Z",
        "stopped_at": "2026-03-01T10:11:14.250Z",
        "duration_s": 2.25,
        "machine": "bench-1",
        "labels": {
            "scenario": "baseline",
            "impl": "python",
            "variant": "numpy",
            "commit": "a468cb6",
            "dataset": "",
        },
        "runqlat": latency(),
        "biolatency": latency(
            histogram=[{"bucket_us": 64, "count": 45}, {"bucket_us": 128, "count": 90}],
            count=135,
            p50_us=140.2,
        ),
        "offcpu": {
            "total_ms": 1250.0,
            "top_reasons": [
                {"reason": "futex", "ms": 450.0},
                {"reason": "read", "ms": 300.5},
                {"reason": "page_fault", "ms": 0.75},
            ],
        },
        "exec": {
            "exec_count": 12,
            "top_commands": [{"command": "python3", "count": 5}, {"command": "ls", "count": 3}],
        },
        "syscall_counts": {
            "futex": 1250,
            "fsync": 45,
            "openat": 230,
            "read": 8900,
            "write": 450,
            "all": {"futex": 1250, "read": 8900, "mmap": 70, "close": 210},
        },
        "manifest": {
            "kernel": "6.1.0-28-amd64",
            "hooks": {
                "runqlat": ["raw_tracepoint:sched_switch", "raw_tracepoint:sched_wakeup"],
                "exec": "raw_tracepoint:sched_process_exec",
            },
            "versions": {"agent": "0.1.0", "bcc": "0.26.0"},
            "transport": "ring",
            "timing": "clock",
        },
        "completeness": {
            "verdict": "degraded",
            "reasons": ["3 events of biolatency were lost"],
            "streams": {
                "runqlat": {
                    "produced": 12655,
                    "received": 12655,
                    "lost": 0,
                    "unmatched": 0,
                    "clamped": 2,
                    "in_flight_at_start": 11,
                    "in_flight_at_stop": 12,
                }
            },
        },
        "checks": [
            {
                "name": "context_switches",
                "unit": "switches",
                "ours": 12655,
                "kernel": 12660,
                "difference": -0.000395,
                "bound": 0.01,
                "pass": True,
            },
            {
                "name": "run_queue_wait",
                "unit": "ns",
                "ours": 2_000_000,
                "kernel": 1_000_000,
                "explained": -500_000,
                "difference": 1.0,
                "bound": 0.01,
                "pass": False,
                "text": "2 ms by the agent's account, 1 ms by the kernel's. The kernel's figure is"
                " expected to be 500 µs lower, because the scheduler's clock stands still during"
                " some waits. That leaves 500 µs, 50 % of the kernel's figure, more than the"
                " allowed 200 µs. Take the times of runqlat as"
                " uncertain by that share.",
            },
            {
                "name": "forks",
                "unit": "forks",
                "ours": 0,
                "kernel": 0,
                "difference": None,
                "bound": 0.01,
                "pass": True,
            },
        ],
        "overhead": {
            "events": 12790,
            "agent_cpu_ms": 22.5,
            "wall_ms": 2250.0,
            "processes": [
                {"role": "agent", "pid": 812, "cpu_ms": 20.0, "run_delay_ms": 1500.0},
                {"role": "supervisor", "pid": 811, "cpu_ms": 2.5},
            ],
        },
    }
    return whole | changes


def status(**changes: Any) -> dict[str, Any]:
    return {"running": False, "scenario": "", "impl": "", "variant": "", "machine": "x"} | changes


CALLS = (
    "futex",
    "read",
    "write",
    "openat",
    "close",
    "mmap",
    "munmap",
    "brk",
    "poll",
    "ppoll",
    "lseek",
    "fstat",
)


def detailed() -> dict[str, Any]:
    """Return evidence of a run with a scope and with every detail."""
    whole = evidence(
        schema=1,
        measured_from="2026-03-01T10:11:12.050+00:00",
        measured_to="2026-03-01T10:11:14.240+00:00",
        scope={
            "kind": "pid",
            "pid": 24,
            "host_pid": 5024,
            "command": "bench",
            "process_started_at": "2026-03-01T10:11:01.123+00:00",
        },
        unavailable={"bios": "this kernel has no block_bio_queue"},
        syscall_details={
            name: {
                "count": 100 + calls,
                "errors": calls,
                "interrupted": 3,
                "refused": calls // 11,
                "in_flight": 0,
                "total_ms": 1000.5 - calls,
            }
            for calls, name in enumerate(CALLS)
        },
    )
    commands = [
        {"command": f"waiter-{n}", "count": 70 - n, "total_us": 9e5 / (n + 1), "mean_us": 11.5 + n}
        for n in range(7)
    ]
    whole["runqlat"] |= {
        "preempted_ms": 33.25,
        "by_command": {"top": commands, "other": {"count": 5, "total_us": 77.0}},
        "by_thread": {"top": [{"tid": 4711, "command": "waiter-0", "count": 9, "total_us": 8.5}]},
    }
    whole["biolatency"]["by_operation"] = [
        {
            "device": "254:0",
            "operation": operation,
            "by": "kernel_threads",
            "error": error,
            "in_flight_at_start": False,
            "empty": operation == "flush",
            "count": 34 + len(operation),
            "bytes": size,
            "device_ms": 12.125,
            "queue_ms": 0.5,
        }
        for operation, error, size in (
            ("read", None, 1572864),
            ("write", "EIO", 0),
            ("flush", None, 0),
        )
    ]
    whole["offcpu"] |= {
        "other": {"ms": 499.0, "count": 6},
        "by_state": {"interruptible_ms": 1049.0, "uninterruptible_ms": 201.0, "preempted_ms": 7.0},
        "stopped_ms": 1500.0,
        "stopped": {
            "by_signal_ms": 1400.0,
            "traced_ms": 100.0,
            "frozen_ms": 0.0,
            "count": 2,
            "throughout": 1,
        },
        "kernel_threads": {"ms": 888.0, "count": 44},
        "wait_functions": [
            {"function": "folio_wait_bit_common", "samples": 21, "ms": 145.0},
            {"function": "futex_wait_queue", "samples": 17, "ms": 144.0},
        ],
        "wait_functions_unsampled": {"count": 61, "ms": 6.5, "refused": 0},
    }
    whole["exec"] |= {"other": 4, "forks": 29, "exits": 28, "attempts": 15, "failures_missed": 2}
    whole["syscall_counts"]["all"] |= {f"call_{n}": n + 1 for n in range(15)}
    whole["manifest"] |= {"cpus": 16, "details": {"syscalls": ["tp_btf/sys_exit"]}}
    whole["completeness"] |= {"unseen_switches": 3, "seccomp_tasks": 8, "io_uring_tasks": 0}
    whole["overhead"] |= {
        "map_bytes": 3 * 2**20,
        "longest_drain_gap_ms": 2500.0,
        "programs": [
            {"name": "on_switch", "hook": "sched_switch", "runs": 5150, "run_ns": 2_750_000}
        ],
    }
    return whole
