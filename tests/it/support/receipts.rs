//! What a run of the synthetic source must leave in the log, by the receipts it was given.

use std::collections::HashMap;

use telegram_gateway::event::{Envelope, PeerId};

/// The source's position is in the commit of its events (I2), so each of its events is in the log exactly once.
pub(crate) fn nothing_lost_or_doubled(events: &[Envelope]) {
    let mut ordinals = HashMap::new();
    for (expected, event) in (1..).zip(events) {
        assert_eq!(event.seq.get(), expected, "a hole in the numbers");
        if let Some(other) = ordinals.insert(event.event.stamp, event.seq) {
            let ordinal = event.event.stamp;
            panic!(
                "event {ordinal} of the source is in the log as {other} and {}",
                event.seq
            );
        }
    }
    for ordinal in 1..=events.len() as i64 {
        assert!(
            ordinals.contains_key(&ordinal),
            "event {ordinal} of the source is not in the log"
        );
    }
}

/// Every acknowledged event is in the log under its number. Gives how many there are.
pub(crate) fn receipts_are_in_the_log(receipts: &str, events: &[Envelope]) -> u64 {
    let text = std::fs::read_to_string(receipts).expect("receipts");
    let mut acknowledged = 0;
    // A line that the kill cut short was not acknowledged.
    for line in text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
    {
        let fields: Vec<&str> = line.split(' ').collect();
        let [seq, peer, message, kind] = fields[..] else {
            panic!("{line:?}")
        };
        let event = &events[seq.parse::<usize>().expect("a number") - 1].event;
        let found = (
            event.peer.map_or(0, PeerId::marked).to_string(),
            event.body.message_id().unwrap_or(0).to_string(),
            event.body.kind().as_str(),
        );
        assert_eq!(
            (found.0.as_str(), found.1.as_str(), found.2),
            (peer, message, kind),
            "{line}"
        );
        acknowledged += 1;
    }
    assert!(acknowledged > 0, "nothing was acknowledged");
    acknowledged
}
