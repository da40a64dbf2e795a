//! The log itself, record by record.

use super::{Difference, HoleShown, READ_BYTES, READ_EVENTS, Report, VerifyError};
use crate::config::Config;
use crate::event::Envelope;
use crate::failure::chain;
use crate::journal::{JournalError, JournalReader, LOG_DIR};
use crate::projector::next_seq;

/// Checks every record of the log, in its folder and in the configured archive: files, chain and checksums, and that
/// each payload is an event.
pub async fn log(config: &Config) -> Result<Report, VerifyError> {
    let dir = config.data_dir.join(LOG_DIR);
    let archive = config.wal.archive_dir.clone();
    let checked = tokio::task::spawn_blocking(move || {
        let live = wal::verify(&dir, &mut |_| {})?;
        let archived = match archive {
            Some(archive) => wal::verify_archive(&dir, &archive, &mut |_| {})?,
            None => wal::VerifyReport::default(),
        };
        Ok((live, archived))
    });
    let checked = checked.await.map_err(|_| VerifyError::Interrupted)?;
    let (checked, archived) = checked.map_err(JournalError::Open)?;
    let mut report = Report::new("log");
    report.records = checked.records;
    report.buckets = checked.segments;
    report.archived = archived.records;
    report.containers = archived.segments;
    let mut holes = archived.holes;
    holes.extend(checked.holes);
    // A segment may be both in the archive and still in the log.
    holes.sort_by_key(|hole| hole.first);
    holes.dedup();
    report.holes = holes.iter().map(HoleShown::from).collect();
    for finding in archived.findings.into_iter().chain(checked.findings) {
        report.found(Difference {
            kind: Some(finding.kind.as_str()),
            place: finding.segment,
            key: finding
                .seq
                .map(|seq| seq.get().into())
                .into_iter()
                .collect(),
            what: finding.what,
            columns: Vec::new(),
        });
    }
    if report.clean {
        payloads(config, &mut report).await?;
    }
    Ok(report)
}

/// A record can be intact and still hold what this version cannot read.
async fn payloads(config: &Config, report: &mut Report) -> Result<(), VerifyError> {
    let journal = JournalReader::of(config)?;
    let Some(first) = journal.first().await? else {
        return Ok(());
    };
    let mut at = first.get() - 1;
    loop {
        let records = journal.read(next_seq(at), READ_EVENTS, READ_BYTES).await?;
        let Some(last) = records.last() else {
            return Ok(());
        };
        at = last.header().seq.get();
        for error in records
            .iter()
            .filter_map(|record| Envelope::from_record(record).err())
        {
            report.found(Difference {
                kind: None,
                place: LOG_DIR.to_owned(),
                key: vec![error.seq.get().into()],
                what: chain(&error),
                columns: Vec::new(),
            });
        }
    }
}
