//! A disk that fails and a clock that jumps: `shim.c`, loaded into the program before its C library.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use super::gateway::{Gateway, repository, wait_until};

/// The compiled library; built once for all tests of this process.
fn library() -> PathBuf {
    static BUILT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(folder.path().join("shim.so"))
            .arg(repository("tests/it/support/shim.c"))
            .status();
        assert!(built.expect("cc, which the build needs too").success());
        folder
    });
    folder.path().join("shim.so")
}

/// What is wrong with the machine of one gateway.
pub(crate) struct Shim(PathBuf);

impl Shim {
    /// All further commands of the gateway run on this machine.
    pub(crate) fn under(gateway: &mut Gateway) -> Shim {
        let folder = gateway.path("shim");
        std::fs::create_dir(&folder).expect("a folder");
        gateway.set("LD_PRELOAD", library().to_str().expect("UTF-8"));
        gateway.set("TGW_TEST_SHIM", folder.to_str().expect("UTF-8"));
        Shim(folder)
    }

    /// The next sync of the log fails; returns when it has.
    pub(crate) fn fail_next(&self) {
        let file = self.0.join("fail-next");
        std::fs::write(&file, "").expect("written");
        wait_until("a sync failed", || !file.exists());
    }

    /// The n-th sync of the log fails, counted from the start of a process.
    pub(crate) fn fail_nth(&self, nth: u32) {
        std::fs::write(self.0.join("fail-nth"), nth.to_string()).expect("written");
    }

    /// Every sync of the log fails from now on.
    pub(crate) fn fail(&self) {
        std::fs::write(self.0.join("fail"), "").expect("written");
    }

    /// The disk is sound again.
    pub(crate) fn mend(&self) {
        for name in ["fail", "fail-nth", "fail-next"] {
            let _ = std::fs::remove_file(self.0.join(name));
        }
    }

    /// The wall clock is off by so many seconds.
    pub(crate) fn clock(&self, seconds: i64) {
        // Renamed into place: a half-written number would be another time.
        let half = self.0.join("clock-half");
        std::fs::write(&half, seconds.to_string()).expect("written");
        std::fs::rename(half, self.0.join("clock")).expect("renamed");
    }
}
