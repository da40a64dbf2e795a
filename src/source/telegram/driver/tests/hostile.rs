//! Any input at all: nothing panics, no position leaves its range, and no call storm follows.

use std::time::Duration;

use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{self as tl, enums::Update as U};
use proptest::prelude::*;

use super::super::*;
use super::support::*;

/// Numbers where sums go wrong, and numbers near the positions in use.
fn number() -> impl Strategy<Value = i32> {
    prop_oneof![
        Just(i32::MIN),
        Just(-1),
        Just(0),
        Just(1),
        Just(i32::MAX - 1),
        Just(i32::MAX),
        95..110,
        any::<i32>(),
    ]
}

fn channel_id() -> impl Strategy<Value = i64> {
    prop_oneof![Just(CH), Just(OTHER), Just(0), Just(i64::MIN), any::<i64>()]
}

/// An update in numbers.
#[derive(Debug, Clone)]
struct Sketch {
    kind: u8,
    channel: i64,
    id: i32,
    pts: i32,
    count: i32,
}

fn sketch() -> BoxedStrategy<Sketch> {
    let numbers = (0..10_u8, channel_id(), number(), number(), number());
    let sketch = numbers.prop_map(|(kind, channel, id, pts, count)| Sketch {
        kind,
        channel,
        id,
        pts,
        count,
    });
    sketch.boxed()
}

fn updates(sketches: &[Sketch]) -> Vec<U> {
    sketches.iter().map(Sketch::update).collect()
}

impl Sketch {
    fn update(&self) -> U {
        let &Sketch {
            kind,
            channel,
            id,
            pts,
            count,
        } = self;
        let mut update = match kind {
            0 => post(channel, id, pts),
            1 => edit(channel, id, pts),
            2 => delete(channel, id, pts),
            3 => private(id, pts),
            4 => too_long(channel, Some(pts).filter(|_| count > 0)),
            5 => read_mark(channel, id, pts),
            6 => views(channel, id),
            // A channel's message in the account's sequence, for which the library has an assertion.
            7 => U::NewMessage(tl::types::UpdateNewMessage {
                message: message(Some(channel), id),
                pts,
                pts_count: 0,
            }),
            8 => U::NewChannelMessage(tl::types::UpdateNewChannelMessage {
                message: tl::types::MessageEmpty { id, peer_id: None }.into(),
                pts,
                pts_count: 0,
            }),
            _ => U::PtsChanged,
        };
        match &mut update {
            U::NewMessage(u) => u.pts_count = count,
            U::NewChannelMessage(u) => u.pts_count = count,
            U::EditChannelMessage(u) => u.pts_count = count,
            U::DeleteChannelMessages(u) => u.pts_count = count,
            _ => {}
        }
        update
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(Vec<Sketch>, i32, i32),
    Short(i32, i32),
    Signal(bool),
    Answer(usize, Reply),
    Fail(usize, Failure),
    Pass(u64),
    Hot(Vec<i64>),
    Learn(i64, i32),
}

#[derive(Debug, Clone)]
enum Reply {
    State(i32, i32, i32, i32),
    Empty(i32, i32),
    Whole(Vec<i32>, Vec<Sketch>, i32),
    Slice(Vec<i32>, Vec<Sketch>, i32),
    TooLong(i32),
    Channel(Vec<i32>, Vec<Sketch>, i32, bool),
    ChannelEmpty(i32, Option<i32>),
    ChannelTooLong(Vec<i32>, Option<i32>),
    ChannelState(i32),
}

impl Reply {
    fn answer(self) -> Answer {
        match self {
            Reply::State(pts, qts, date, seq) => Answer::State(state(pts, qts, date, seq)),
            Reply::Empty(date, seq) => {
                Answer::Difference(tl::types::updates::DifferenceEmpty { date, seq }.into())
            }
            Reply::Whole(ids, others, pts) => difference(&ids, updates(&others), pts),
            Reply::Slice(ids, others, pts) => slice(&ids, updates(&others), pts),
            Reply::TooLong(pts) => {
                Answer::Difference(tl::types::updates::DifferenceTooLong { pts }.into())
            }
            Reply::Channel(ids, others, pts, last) => {
                channel_part(&ids, updates(&others), pts, last)
            }
            Reply::ChannelEmpty(pts, timeout) => channel_empty(pts, timeout),
            Reply::ChannelTooLong(ids, pts) => channel_too_long(&ids, pts),
            Reply::ChannelState(pts) => Answer::ChannelState { pts },
        }
    }
}

fn reply() -> BoxedStrategy<Reply> {
    let ids = || prop::collection::vec(number(), 0..3);
    let others = || prop::collection::vec(sketch(), 0..4);
    let all = prop_oneof![
        (number(), number(), number(), number()).prop_map(|(a, b, c, d)| Reply::State(a, b, c, d)),
        (number(), number()).prop_map(|(date, seq)| Reply::Empty(date, seq)),
        (ids(), others(), number()).prop_map(|(a, b, c)| Reply::Whole(a, b, c)),
        (ids(), others(), number()).prop_map(|(a, b, c)| Reply::Slice(a, b, c)),
        number().prop_map(Reply::TooLong),
        (ids(), others(), number(), any::<bool>())
            .prop_map(|(a, b, c, d)| Reply::Channel(a, b, c, d)),
        (number(), prop::option::of(number())).prop_map(|(a, b)| Reply::ChannelEmpty(a, b)),
        (ids(), prop::option::of(number())).prop_map(|(a, b)| Reply::ChannelTooLong(a, b)),
        number().prop_map(Reply::ChannelState),
    ];
    all.boxed()
}

fn failure() -> BoxedStrategy<Failure> {
    let all = prop_oneof![
        any::<u64>().prop_map(|seconds| Failure::Wait(Duration::from_secs(seconds))),
        Just(Failure::Temporary),
        Just(Failure::InvalidPosition),
        Just(Failure::LostAccess),
        Just(Failure::UnknownChannel),
        Just(Failure::Undecodable { raw: vec![1] }),
        Just(Failure::Refused),
    ];
    all.boxed()
}

fn step() -> BoxedStrategy<Step> {
    let all = prop_oneof![
        4 => (prop::collection::vec(sketch(), 0..6), number(), number())
            .prop_map(|(sketches, start, seq)| Step::Push(sketches, start, seq)),
        1 => (number(), number()).prop_map(|(pts, count)| Step::Short(pts, count)),
        1 => any::<bool>().prop_map(Step::Signal),
        4 => (0..6_usize, reply()).prop_map(|(which, reply)| Step::Answer(which, reply)),
        2 => (0..6_usize, failure()).prop_map(|(which, failure)| Step::Fail(which, failure)),
        2 => (0..2_000_000_u64).prop_map(Step::Pass),
        1 => prop::collection::vec(channel_id(), 0..12).prop_map(Step::Hot),
        1 => (channel_id(), number()).prop_map(|(id, pts)| Step::Learn(id, pts)),
    ];
    all.boxed()
}

fn short(pts: i32, pts_count: i32) -> UpdatesLike {
    let short = tl::types::UpdateShortMessage {
        out: false,
        mentioned: false,
        media_unread: false,
        silent: false,
        id: 1,
        user_id: 2,
        message: String::new(),
        pts,
        pts_count,
        date: 0,
        fwd_from: None,
        via_bot_id: None,
        reply_to: None,
        entities: None,
        ttl_period: None,
    };
    UpdatesLike::Updates(short.into())
}

fn play(desk: &mut Desk, away: &mut Vec<Request>, step: Step) {
    match step {
        Step::Push(sketches, start, seq) => {
            desk.push(numbered(updates(&sketches), start, seq));
        }
        Step::Short(pts, count) => desk.push(short(pts, count)),
        Step::Signal(true) => desk.push(UpdatesLike::ConnectionClosed),
        Step::Signal(false) => desk.push(UpdatesLike::MalformedUpdates),
        Step::Answer(which, reply) if which < away.len() => {
            let request = away.remove(which);
            desk.answer(&request, reply.answer());
        }
        Step::Fail(which, failure) if which < away.len() => {
            let request = away.remove(which);
            desk.fail(&request, failure);
        }
        Step::Answer(..) | Step::Fail(..) => {}
        Step::Pass(ms) => desk.pass(Duration::from_millis(ms)),
        Step::Hot(channels) => desk.driver.set_hot(&channels, desk.now),
        Step::Learn(id, pts) => {
            let pages = desk.driver.learn(id, pts);
            desk.pages.extend(pages);
        }
    }
}

#[test]
fn a_server_that_sends_its_clients_back_and_forth_is_not_asked_without_a_pause() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100)]);
    desk.push(UpdatesLike::ConnectionClosed);
    desk.push(pushed(vec![too_long(CH, None)]));
    let mut asked = 0;
    let mut away = desk.requests();
    while let Some(request) = away.pop() {
        asked += 1;
        let answer = match &request {
            Request::ChannelDifference { call, .. } => {
                channel_part(&[], vec![], if call.pts == 100 { 50 } else { 100 }, false)
            }
            Request::Difference(call) => slice(&[], vec![], if call.pts == 10 { 5 } else { 10 }),
            other => panic!("{other:?}"),
        };
        desk.answer(&request, answer);
        away.extend(desk.requests());
        assert!(asked < 10, "a storm");
    }
    assert!(desk.driver.deadline().is_some(), "it goes on in its time");
}

#[test]
fn polls_on_their_way_are_no_search_for_what_was_missed() {
    let mut desk = Desk::live(&[account_at(10), channel_at(CH, 100), channel_at(OTHER, 7)]);
    assert!(!desk.driver.is_asking());
    desk.driver.set_hot(&[CH], desk.now);
    let poll = desk.only_request();
    assert!(!desk.driver.is_asking(), "it is only a poll");
    desk.push(pushed(vec![too_long(OTHER, None)]));
    let news = desk.only_request();
    assert!(desk.driver.is_asking());
    desk.answer(&news, channel_empty(7, None));
    assert!(!desk.driver.is_asking());
    desk.answer(&poll, channel_empty(100, None));
    assert!(!desk.driver.is_asking());
    desk.push(UpdatesLike::ConnectionClosed);
    let account = desk.only_request();
    assert!(desk.driver.is_asking());
    desk.answer(&account, nothing_new());
    assert!(!desk.driver.is_asking());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_input_breaks_the_driver(known: bool, steps in prop::collection::vec(step(), 0..40)) {
        let positions = [account_at(100), channel_at(CH, 100)];
        let mut desk = Desk::new(if known { &positions } else { &[] });
        let mut away = Vec::new();
        for step in steps {
            play(&mut desk, &mut away, step);
            away.extend(desk.requests());
            let of_channels = away.iter().filter(|r| r.channel().is_some()).count();
            prop_assert!(of_channels <= 4);
            prop_assert!(away.len() - of_channels <= 1);
            for position in desk.pages.iter().flat_map(|page| &page.positions) {
                let (name, bytes) = position.bookmark("a");
                prop_assert_eq!(Position::from_bookmark("a", &name, &bytes), Ok(Some(*position)));
            }
        }
    }
}
