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
                "text": "2 ms by the agent's account, 1 ms by the kernel's. 500 µs less is expected"
                " of the kernel's, because its clock stands still during some waits. That leaves"
                " 500 µs more than the 200 µs that is allowed. Take the times of runqlat as"
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
