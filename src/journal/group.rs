//! What of that which waits for the writer goes into one commit. Pure.

/// What waits for the writer.
pub(super) enum Arrival<A, J> {
    /// Records to make durable.
    Append(A),
    /// Anything else that changes the log.
    Job(J),
}

/// Group commit: `first` and what waits behind it, in order, until the events are `events_max` or nothing waits. An
/// append is never split, so the last one may go past the limit. A job ends the group and is given back, since it may
/// depend on what was appended before it; nothing behind the end is taken from what waits.
pub(super) fn gather<A, J>(
    first: A,
    waiting: impl IntoIterator<Item = Arrival<A, J>>,
    events_of: impl Fn(&A) -> usize,
    events_max: usize,
) -> (Vec<A>, Option<J>) {
    let mut events = events_of(&first);
    let mut group = vec![first];
    let mut waiting = waiting.into_iter();
    while events < events_max {
        match waiting.next() {
            Some(Arrival::Append(append)) => {
                events += events_of(&append);
                group.push(append);
            }
            Some(Arrival::Job(job)) => return (group, Some(job)),
            None => break,
        }
    }
    (group, None)
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::Arrival::{self, Append, Job};

    type Queue = VecDeque<Arrival<usize, char>>;

    /// Appends are their numbers of events, jobs are letters.
    fn gather(first: usize, waiting: &mut Queue, events_max: usize) -> (Vec<usize>, Option<char>) {
        let pull = std::iter::from_fn(|| waiting.pop_front());
        super::gather(first, pull, |events| *events, events_max)
    }

    #[test]
    fn a_group_takes_what_waits_up_to_the_limit() {
        let mut waiting = Queue::from([Append(3), Append(4), Append(5)]);
        assert_eq!(gather(2, &mut waiting, 6), (vec![2, 3, 4], None));
        assert_eq!(waiting.len(), 1);
        assert_eq!(gather(1, &mut waiting, 6), (vec![1, 5], None));
        assert_eq!(gather(1, &mut waiting, 6), (vec![1], None));
    }

    #[test]
    fn an_append_past_the_limit_goes_alone() {
        let mut waiting = Queue::from([Append(1)]);
        assert_eq!(gather(100, &mut waiting, 6), (vec![100], None));
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn a_job_ends_the_group_and_comes_after_it() {
        let mut waiting = Queue::from([Append(1), Job('a'), Append(1), Job('b')]);
        assert_eq!(gather(1, &mut waiting, 100), (vec![1, 1], Some('a')));
        assert_eq!(gather(1, &mut waiting, 1), (vec![1], None));
        assert_eq!(waiting.len(), 2);
    }

    proptest! {
        /// Group after group, everything comes once and in order, no group could have been longer, and only its last
        /// append takes a group past the limit.
        #[test]
        fn groups_are_the_queue_in_order_cut_at_limits_and_jobs(
            waits in prop::collection::vec(prop_oneof![
                4 => (0..20_usize).prop_map(Ok),
                1 => any::<char>().prop_map(Err),
            ], 0..60),
            events_max in 1..50_usize,
        ) {
            let arrival = |wait: &Result<usize, char>| match wait {
                Ok(events) => Append(*events),
                Err(job) => Job(*job),
            };
            let mut waiting: Queue = waits.iter().map(arrival).collect();
            let mut seen = Vec::new();
            while let Some(next) = waiting.pop_front() {
                let Append(first) = next else {
                    let Job(job) = next else { unreachable!() };
                    seen.push(Err(job));
                    continue;
                };
                let (group, job) = gather(first, &mut waiting, events_max);
                let events: usize = group.iter().sum();
                let without_last: usize = group[..group.len() - 1].iter().sum();
                prop_assert!(group.len() == 1 || without_last < events_max);
                prop_assert!(events >= events_max || job.is_some() || waiting.is_empty());
                prop_assert!(events < events_max || job.is_none());
                seen.extend(group.into_iter().map(Ok));
                seen.extend(job.map(Err));
            }
            prop_assert_eq!(seen, waits);
        }
    }
}
