//! The jobs: names, sizes, and what each measures. The programs stand in one file a system; what they do and what is
//! equal between them stands in `README.md`.

/// What a job measures; the values of a round come in this order.
pub struct Output {
    pub name: &'static str,
    pub unit: &'static str,
}

pub struct Job {
    pub name: &'static str,
    /// Operations of a full round.
    pub count: usize,
    /// Operations of the round that comes first in the same process and does not count. 0: none, where a first round
    /// would change what is measured.
    pub warm_up: usize,
    /// Worker threads, where the job has an opinion.
    pub workers: Option<usize>,
    /// It takes gigabytes: a whole round in a process of its own comes first, and does not count.
    pub fills_memory: bool,
    pub outputs: &'static [Output],
}

const fn nanoseconds(name: &'static str) -> Output {
    Output { name, unit: "ns" }
}

const fn job(name: &'static str, count: usize, warm_up: usize, outputs: &'static [Output]) -> Job {
    Job { name, count, warm_up, workers: None, fills_memory: false, outputs }
}

const fn filling_memory(job: Job) -> Job {
    Job { fills_memory: true, ..job }
}

const fn on_one_worker(job: Job) -> Job {
    Job { workers: Some(1), ..job }
}

/// One job with one output of its name.
macro_rules! plain {
    ($name:literal, $count:literal, $warm_up:literal) => {
        job($name, $count, $warm_up, const { &[nanoseconds($name)] })
    };
}

/// The jobs of the comparison.
pub const JOBS: &[Job] = &[
    plain!("spawn_done", 2_000_000, 2_000_000),
    plain!("spawn_join", 2_000_000, 200_000),
    on_one_worker(plain!("yield", 10_000_000, 1_000_000)),
    on_one_worker(plain!("park_unpark", 10_000_000, 1_000_000)),
    plain!("ping_pong", 2_000_000, 200_000),
    plain!("ping_pong_apart", 500_000, 50_000),
    plain!("cache_line", 5_000_000, 500_000),
    plain!("chan128_1_1", 20_000_000, 2_000_000),
    plain!("chan128_4_4", 8_000_000, 800_000),
    plain!("chan0_4_4", 2_000_000, 200_000),
    plain!("threads128", 10_000_000, 1_000_000),
    plain!("select3", 2_000_000, 200_000),
    plain!("mutex_1", 20_000_000, 2_000_000),
    plain!("mutex_8", 20_000_000, 2_000_000),
    plain!("rwlock_read", 10_000_000, 1_000_000),
    plain!("skynet", 1_000_000, 100_000),
    plain!("fib", 1_000_000, 100_000),
    plain!("sieve", 100_000, 10_000),
    plain!("par_map_1m", 1_000_000, 100_000),
    job("sleepers_100k", 100_000, 0, &[Output { name: "sleepers_100k", unit: "ns altogether" }]),
    filling_memory(job(
        "park_1m",
        1_000_000,
        0,
        &[nanoseconds("park_1m_start"), Output { name: "park_1m_bytes", unit: "bytes" }, nanoseconds("park_1m_wake")],
    )),
    job(
        "wake_latency",
        20_000,
        1_000,
        &[nanoseconds("wake_latency_p50"), nanoseconds("wake_latency_p99"), nanoseconds("wake_latency_p99.9")],
    ),
    job(
        "wake_latency_greedy",
        20_000,
        1_000,
        &[
            nanoseconds("wake_latency_greedy_p50"),
            nanoseconds("wake_latency_greedy_p99"),
            nanoseconds("wake_latency_greedy_p99.9"),
        ],
    ),
];

/// Jobs of `compare scale` only. Their count is a size, not a number of operations: they repeat until there are enough.
pub const SCALE_JOBS: &[Job] =
    &[filling_memory(plain!("started", 1_000, 0)), plain!("waiters_channel", 100, 0), plain!("waiters_mutex", 100, 0)];

pub fn find(name: &str) -> Option<&'static Job> {
    JOBS.iter().chain(SCALE_JOBS).find(|job| job.name == name)
}
