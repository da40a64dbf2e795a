//! Polls and their results.

use grammers_tl_types as tl;

use super::blank::blank_bytes;

/// A poll and how many have voted for each answer.
#[derive(Clone, Debug)]
pub struct PollSpec {
    /// The id of the poll, which is none of a message.
    pub id: i64,
    /// What is asked.
    pub question: String,
    /// What can be answered.
    pub answers: Vec<String>,
    /// One number per answer; missing ones are nought.
    pub votes: Vec<i32>,
    /// Nobody can vote any more.
    pub closed: bool,
    /// One of the answers is right.
    pub quiz: bool,
}

impl PollSpec {
    /// An open poll without votes.
    pub fn new(id: i64, question: &str, answers: &[&str]) -> Self {
        Self {
            id,
            question: question.to_owned(),
            answers: answers.iter().map(|&answer| answer.to_owned()).collect(),
            votes: Vec::new(),
            closed: false,
            quiz: false,
        }
    }

    /// With so many votes for each answer.
    pub fn votes(mut self, votes: &[i32]) -> Self {
        self.votes = votes.to_vec();
        self
    }

    pub(crate) fn as_media(&self) -> tl::enums::MessageMedia {
        let media = tl::types::MessageMediaPoll {
            poll: self.poll(),
            results: self.results(),
            attached_media: None,
        };
        media.into()
    }

    pub(crate) fn poll(&self) -> tl::enums::Poll {
        let answers: Vec<tl::enums::PollAnswer> = self
            .answers
            .iter()
            .enumerate()
            .map(|(number, text)| {
                tl::types::PollAnswer {
                    text: plain(text),
                    option: option(number),
                    media: None,
                    added_by: None,
                    date: None,
                }
                .into()
            })
            .collect();
        let fields = blank_bytes(0).put(&self.id).words(1);
        let fields = fields.put(&plain(&self.question)).put(&answers).words(2);
        let mut poll: tl::types::Poll = fields.read();
        (poll.closed, poll.quiz) = (self.closed, self.quiz);
        poll.into()
    }

    pub(crate) fn results(&self) -> tl::enums::PollResults {
        let votes = |number: usize| self.votes.get(number).copied().unwrap_or(0);
        let voters = (0..self.answers.len()).map(|number| {
            tl::types::PollAnswerVoters {
                chosen: false,
                correct: false,
                option: option(number),
                voters: Some(votes(number)),
                // Has its flag in common with the number of voters.
                recent_voters: Some(Vec::new()),
            }
            .into()
        });
        let mut results: tl::types::PollResults = blank_bytes(1).read();
        results.results = Some(voters.collect());
        results.total_voters = Some(self.votes.iter().sum());
        results.into()
    }
}

fn option(number: usize) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn plain(text: &str) -> tl::enums::TextWithEntities {
    tl::types::TextWithEntities {
        text: text.to_owned(),
        entities: Vec::new(),
    }
    .into()
}
