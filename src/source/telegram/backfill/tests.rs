//! Jobs as a whole.

use super::stretch::tests::message;
use super::*;
use crate::event::GapBounds;

fn newest(count: u32) -> Stretch {
    Stretch::newest(Reason::FirstSight, count, Since::Beginning)
}

fn job(channel: i64, stretches: Vec<Stretch>) -> Job {
    Job { channel, stretches }
}

fn history(ids: impl IntoIterator<Item = i32>) -> History {
    History {
        messages: ids.into_iter().map(message).collect(),
        pts: Some(100),
        ..History::default()
    }
}

fn gap(cause: GapCause, after_pts: i64, until_pts: Option<i64>) -> Gap {
    Gap {
        cause,
        after_pts: Some(after_pts),
        until_pts,
        after_message_id: None,
        until_message_id: None,
    }
}

#[test]
fn a_page_makes_jobs_of_what_is_followed() {
    let mut page = Page::empty(Origin::Live);
    page.first = vec![1, 2];
    page.gaps = vec![
        (BoxName::Channel(2), gap(GapCause::TooLong, 5, Some(9))),
        (BoxName::Channel(3), gap(GapCause::LostAccess, 5, None)),
        (BoxName::Common, gap(GapCause::TooLong, 5, Some(9))),
    ];
    let backfill = Backfill::default();
    let bounds = page.gaps[0].1.bounds();
    assert_eq!(
        backfill.found(&page.first, &page.gaps, 10, |channel| channel != 1),
        [job(2, vec![newest(10), Stretch::gap(bounds, 5)])]
    );
    assert_eq!(
        backfill.found(&page.first, &page.gaps, 0, |_| true),
        [job(2, vec![Stretch::gap(bounds, 5)])],
        "no depth, no first sight"
    );
}

#[test]
fn the_same_gap_is_fetched_once_and_only_so_many_wait() {
    let mut backfill = Backfill::default();
    for n in 0..2 * STRETCHES_MAX as i32 {
        let more = Stretch::gap(GapBounds::default(), n);
        if let Some(job) = backfill.with(1, [more, more]) {
            backfill.apply(job);
        }
    }
    assert_eq!(backfill.waiting(1).len(), STRETCHES_MAX);
}

#[test]
fn channels_take_turns_and_a_step_counts_once_it_is_handed_over() {
    let now = Instant::now();
    let mut backfill = Backfill::load([1, 2].map(|id| job(id, vec![newest(2)])));
    let first = backfill.next(now).expect("a channel");
    let second = backfill.next(now).expect("the other");
    assert_eq!((first.channel, second.channel), (1, 2));
    let step = backfill.answered(&first, Ok(history([9])), now);
    let step = step.expect("a message");
    assert_eq!((step.page.updates.len(), step.ended), (1, None));
    assert_eq!(
        backfill.next(now),
        Some(first.clone()),
        "nothing was handed over"
    );
    backfill.apply(step.job);
    backfill.next(now);
    let rest = backfill.next(now).expect("the rest");
    assert_eq!((rest.channel, rest.stretch.below), (1, 9));
    let step = backfill.answered(&rest, Ok(history([])), now);
    let step = step.expect("an end");
    assert_eq!(step.ended, Some(GapOutcome::Filled));
    backfill.apply(step.job);
    assert_eq!(backfill.waiting(1), []);
    let late = backfill.answered(&rest, Ok(history([8])), now);
    assert!(late.is_none(), "it was over, or cancelled");
}

#[test]
fn a_gap_that_is_filled_is_closed() {
    let now = Instant::now();
    let bounds = gap(GapCause::TooLong, 98, Some(100)).bounds();
    let mut backfill = Backfill::load([job(1, vec![Stretch::gap(bounds, 98)])]);
    let ask = backfill.next(now).expect("the gap");
    let step = backfill.answered(&ask, Ok(history([9, 8, 7])), now);
    let closed = GapClosed {
        gap: bounds,
        outcome: GapOutcome::Filled,
        found: 2,
    };
    assert_eq!(
        step.expect("a step").page.closed,
        [(BoxName::Channel(1), closed)]
    );
}

#[test]
fn trouble_that_passes_is_waited_for_and_a_channel_out_of_reach_is_given_up() {
    let now = Instant::now();
    let bounds = GapBounds::default();
    let mut backfill = Backfill::load([job(1, vec![Stretch::gap(bounds, 1)])]);
    let ask = backfill.next(now).expect("the gap");
    let mut last = now;
    for _ in 0..20 {
        assert!(
            backfill
                .answered(&ask, Err(Failure::Temporary), now)
                .is_none()
        );
        assert_eq!(backfill.next(now), None);
        let due = backfill.deadline(now).expect("again");
        assert!(due >= last && due <= now + RETRY_MAX);
        last = due;
    }
    assert_eq!(backfill.next(last), Some(ask.clone()));
    let step = backfill.answered(&ask, Err(Failure::LostAccess), now);
    let step = step.expect("an end");
    assert_eq!(step.ended, Some(GapOutcome::Unfillable));
    assert!(step.job.stretches.is_empty());
}

#[test]
fn what_cannot_be_read_is_not_asked_for_without_end() {
    let now = Instant::now();
    let mut backfill = Backfill::load([job(1, vec![newest(5)])]);
    let ask = backfill.next(now).expect("a channel");
    let mut tries = 1;
    let garbled = || Err(Failure::Undecodable { raw: Vec::new() });
    while backfill.answered(&ask, garbled(), now).is_none() {
        tries += 1;
    }
    assert_eq!(tries, UNREADABLE_MAX);
}
