//! Chance that can be had again: `TGW_TEST_SEED`.

/// A number from the environment.
pub(crate) fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

/// By the seed that is asked for, or one that is told.
pub(crate) fn random() -> fastrand::Rng {
    let seed = number("TGW_TEST_SEED", u64::from(std::process::id()));
    println!("TGW_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}
