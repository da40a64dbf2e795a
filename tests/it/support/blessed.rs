//! Files of the repository that the program writes.

use std::fs;
use std::path::Path;

/// Compares with a file of the repository, or writes it when TGW_TEST_BLESS=1.
#[track_caller]
pub(crate) fn is_blessed(path: &Path, actual: &str) {
    if std::env::var_os("TGW_TEST_BLESS").is_some_and(|value| value == "1") {
        fs::write(path, actual).expect("written");
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    assert_eq!(
        expected, actual,
        "{name} differs; TGW_TEST_BLESS=1 rewrites it"
    );
}
