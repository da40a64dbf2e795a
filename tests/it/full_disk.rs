//! I9: a full disk stops ingest, loudly, and ingest goes on by itself when there is room; nothing is lost.

use std::path::Path;
use std::process::Command;

use crate::support::gateway::{Gateway, wait_until};

/// A small file system of its own, gone when dropped.
struct Small<'a>(&'a Path);

impl Small<'_> {
    /// None where this user may not mount.
    fn mount(at: &Path) -> Option<Small<'_>> {
        std::fs::create_dir(at).expect("a folder");
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=48m,mode=0700", "tmpfs"])
            .arg(at);
        mount
            .status()
            .is_ok_and(|status| status.success())
            .then_some(Small(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_stops_ingest_until_there_is_room() {
    let gateway = Gateway::embedded();
    let data = gateway.data_dir();
    let Some(_small) = Small::mount(&data) else {
        assert!(
            std::env::var("TGW_REQUIRE_SERVICES").is_err(),
            "cannot mount a tmpfs"
        );
        eprintln!("SKIPPED full_disk: this user cannot mount a tmpfs");
        return;
    };
    let filler = data.join("filler");
    std::fs::write(&filler, vec![1; 44 << 20]).expect("room for it");
    let mut daemon = gateway.start(&["run", "--source", "synthetic", "--rate", "2000"]);
    wait_until("the disk is full", || {
        assert!(daemon.is_running(), "{}", daemon.words());
        daemon
            .words()
            .contains("the log cannot be written; ingest waits")
    });
    let full = gateway.tail();
    std::fs::remove_file(&filler).expect("removed");
    wait_until("ingest goes on by itself", || gateway.tail() > full + 1_000);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.words());
    gateway.ok(&["run", "--drain"]);
    gateway.verify();
}
