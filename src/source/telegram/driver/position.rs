//! Positions: how far a box of updates has been read, and how that is written into the log's bookmarks.

use std::fmt;

/// The version of the encoding below. An older version stays readable for ever.
const VERSION: u8 = 1;

/// A sequence of updates that has a position of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BoxName {
    /// Private chats, basic groups, and all that belongs to the account.
    Common,
    /// One channel or supergroup, by its bare id.
    Channel(i64),
}

/// How far a box has been read: everything up to here is in a page, or inside a gap that a page told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Position {
    /// Of [`BoxName::Common`].
    Common(Common),
    /// Of one channel.
    Channel {
        /// The channel's bare id.
        id: i64,
        /// How far.
        pts: i32,
        /// More is known to be there than was read: after a restart the channel is asked without waiting for news.
        behind: bool,
    },
}

/// The account's own position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Common {
    /// How far private chats and basic groups are read. At least 1.
    pub pts: i32,
    /// How far secret chats and what bots get besides are read. 0: nothing was there yet.
    pub qts: i32,
    /// Telegram's date of this state.
    pub date: i32,
    /// The number of the last container of updates.
    pub seq: i32,
}

/// A bookmark that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// Written by a newer program.
    #[error("the position of {name} has version {version}, which this program does not know")]
    Version {
        /// The bookmark.
        name: String,
        /// Its version.
        version: u8,
    },
    /// Not as it was written.
    #[error("the position of {name} is damaged")]
    Damaged {
        /// The bookmark.
        name: String,
    },
}

impl Position {
    /// Which box it belongs to.
    pub fn name(&self) -> BoxName {
        match self {
            Position::Common(_) => BoxName::Common,
            Position::Channel { id, .. } => BoxName::Channel(*id),
        }
    }

    /// As a bookmark of the log: its name, `tg/<account>/...`, and its bytes.
    pub fn bookmark(&self, account: &str) -> (String, Vec<u8>) {
        (self.name().bookmark(account), self.encode())
    }

    /// From a bookmark of the log; none when it is not one of this account's positions.
    pub fn from_bookmark(
        account: &str,
        name: &str,
        bytes: &[u8],
    ) -> Result<Option<Position>, PositionError> {
        let Some(place) = BoxName::from_bookmark(account, name) else {
            return Ok(None);
        };
        match bytes.first() {
            Some(&VERSION) => match decode(place, &bytes[1..]) {
                Some(position) => Ok(Some(position)),
                None => Err(PositionError::Damaged { name: name.into() }),
            },
            Some(&version) => Err(PositionError::Version {
                name: name.into(),
                version,
            }),
            None => Err(PositionError::Damaged { name: name.into() }),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        match *self {
            Position::Common(common) => {
                for number in [common.pts, common.qts, common.date, common.seq] {
                    bytes.extend_from_slice(&number.to_le_bytes());
                }
            }
            Position::Channel { pts, behind, .. } => {
                bytes.extend_from_slice(&pts.to_le_bytes());
                bytes.push(u8::from(behind));
            }
        }
        bytes
    }
}

fn decode(place: BoxName, bytes: &[u8]) -> Option<Position> {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(i32::from_le_bytes(bytes.try_into().ok()?))
    };
    match place {
        BoxName::Common if bytes.len() == 16 => {
            let common = Common {
                pts: number(0)?,
                qts: number(4)?,
                date: number(8)?,
                seq: number(12)?,
            };
            (common.pts > 0 && common.qts >= 0).then_some(Position::Common(common))
        }
        BoxName::Channel(id) if bytes.len() == 5 => {
            let pts = number(0).filter(|pts| *pts > 0)?;
            let behind = match bytes[4] {
                0 => false,
                1 => true,
                _ => return None,
            };
            Some(Position::Channel { id, pts, behind })
        }
        _ => None,
    }
}

impl BoxName {
    /// The name of the bookmark that holds its position.
    pub fn bookmark(self, account: &str) -> String {
        match self {
            BoxName::Common => format!("tg/{account}/common"),
            BoxName::Channel(id) => format!("tg/{account}/channel/{id}"),
        }
    }

    /// The box that a bookmark of this account belongs to.
    pub fn from_bookmark(account: &str, name: &str) -> Option<BoxName> {
        let rest = name.strip_prefix("tg/")?;
        let rest = rest.strip_prefix(account)?.strip_prefix('/')?;
        match rest.strip_prefix("channel/") {
            Some(id) => id.parse().ok().map(BoxName::Channel),
            None => (rest == "common").then_some(BoxName::Common),
        }
    }
}

impl fmt::Display for BoxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoxName::Common => f.write_str("common"),
            BoxName::Channel(id) => write!(f, "channel/{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The bytes of version 1, frozen: logs hold them.
    #[test]
    fn the_encoding_stays_as_logs_hold_it() {
        let common = Position::Common(Common {
            pts: 0x0102_0304,
            qts: 5,
            date: 1_700_000_000,
            seq: -1,
        });
        let (name, bytes) = common.bookmark("main");
        assert_eq!(name, "tg/main/common");
        assert_eq!(
            bytes,
            [
                1, 4, 3, 2, 1, 5, 0, 0, 0, 0, 241, 83, 101, 255, 255, 255, 255
            ]
        );
        let channel = Position::Channel {
            id: 1_234_567_890,
            pts: 258,
            behind: true,
        };
        let (name, bytes) = channel.bookmark("main");
        assert_eq!(name, "tg/main/channel/1234567890");
        assert_eq!(bytes, [1, 2, 1, 0, 0, 1]);
    }

    #[test]
    fn qts_never_stands_without_pts_and_damage_is_told() {
        let read = |bytes: &[u8]| Position::from_bookmark("a", "tg/a/common", bytes);
        let mut bytes = [0; 17];
        bytes[0] = 1;
        bytes[5] = 9;
        let damaged = PositionError::Damaged {
            name: "tg/a/common".into(),
        };
        assert_eq!(read(&bytes), Err(damaged.clone()));
        assert_eq!(read(&[]), Err(damaged.clone()));
        assert_eq!(read(&[1, 2, 3]), Err(damaged));
        let newer = Err(PositionError::Version {
            name: "tg/a/common".into(),
            version: 2,
        });
        assert_eq!(read(&[2]), newer);
    }

    #[test]
    fn bookmarks_of_others_are_none_of_ours() {
        for name in [
            "tg/main2/common",
            "script/x",
            "tg/main/",
            "tg/main/channel/x",
            "tg/common",
        ] {
            assert_eq!(
                Position::from_bookmark("main", name, &[9]),
                Ok(None),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn positions_come_back(pts in 1.., qts in 0.., date: i32, seq: i32, id: i64, behind: bool) {
            let all = [Position::Common(Common { pts, qts, date, seq }), Position::Channel { id, pts, behind }];
            for position in all {
                let (name, bytes) = position.bookmark("b");
                prop_assert_eq!(Position::from_bookmark("b", &name, &bytes), Ok(Some(position)));
            }
        }

        #[test]
        fn any_bytes_are_a_position_or_an_error(bytes: Vec<u8>) {
            for name in ["tg/a/common", "tg/a/channel/7"] {
                if let Ok(Some(position)) = Position::from_bookmark("a", name, &bytes) {
                    prop_assert_eq!(position.bookmark("a").1, bytes.clone());
                }
            }
        }
    }
}
