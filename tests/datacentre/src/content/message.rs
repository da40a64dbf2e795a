//! Messages with rich content, a few words each.

use grammers_tl_types as tl;

use super::blank::{blank_bytes, blank_message, blank_service};
use super::{Document, Photo, PollSpec, Preview, channel_peer, user_peer};

/// A message that is not posted yet. Its id, peer and date are given when it is posted. Plain text will do as well:
///
/// ```
/// # use datacentre::Draft;
/// let plain = Draft::from("just text");
/// let rich = Draft::from("Buy now").bold(0, 3).url_button("Chart", "https://example.org").album(7);
/// ```
#[derive(Clone, Debug)]
pub struct Draft(tl::enums::Message);

impl From<&str> for Draft {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

impl From<String> for Draft {
    fn from(text: String) -> Self {
        let mut message = blank_message(&user_peer(0));
        message.message = text;
        Self(message.into())
    }
}

impl From<tl::types::Message> for Draft {
    fn from(message: tl::types::Message) -> Self {
        Self(message.into())
    }
}

impl Draft {
    /// A service message: a title changed, somebody joined, a topic was made.
    pub fn service(action: tl::enums::MessageAction) -> Self {
        let mut message = blank_service(&user_peer(0));
        message.action = action;
        Self(message.into())
    }

    /// Changes any field of an ordinary message; a service message is left as it is.
    pub fn with(mut self, change: impl FnOnce(&mut tl::types::Message)) -> Self {
        if let tl::enums::Message::Message(message) = &mut self.0 {
            change(message);
        }
        self
    }

    /// An entity over part of the text; offsets and lengths are in UTF-16 units.
    pub fn entity(self, entity: impl Into<tl::enums::MessageEntity>) -> Self {
        let entity = entity.into();
        self.with(|message| message.entities.get_or_insert_default().push(entity))
    }

    /// A part of the text in bold.
    pub fn bold(self, offset: i32, length: i32) -> Self {
        self.entity(tl::types::MessageEntityBold { offset, length })
    }

    /// A part of the text that leads to an address.
    pub fn link(self, offset: i32, length: i32, url: &str) -> Self {
        let url = url.to_owned();
        self.entity(tl::types::MessageEntityTextUrl {
            offset,
            length,
            url,
        })
    }

    /// With any media.
    pub fn media(self, media: impl Into<tl::enums::MessageMedia>) -> Self {
        let media = media.into();
        self.with(|message| message.media = Some(media))
    }

    /// With a photo.
    pub fn photo(self, photo: &Photo) -> Self {
        self.media(photo.as_media())
    }

    /// With a document.
    pub fn document(self, document: &Document) -> Self {
        self.media(document.as_media())
    }

    /// With the preview of a link.
    pub fn preview(self, preview: &Preview) -> Self {
        self.media(preview.as_media())
    }

    /// With a poll.
    pub fn poll(self, poll: &PollSpec) -> Self {
        self.media(poll.as_media())
    }

    /// A part of an album; all parts have the same number.
    pub fn album(self, grouped_id: i64) -> Self {
        self.with(|message| message.grouped_id = Some(grouped_id))
    }

    /// Forwarded from a post of a channel.
    pub fn forwarded_post(self, channel_id: i64, post: i32, date: i32) -> Self {
        self.forwarded(date, |header| {
            header.from_id = Some(channel_peer(channel_id));
            header.channel_post = Some(post);
        })
    }

    /// Forwarded, with a header of one's own.
    pub fn forwarded(self, date: i32, fill: impl FnOnce(&mut tl::types::MessageFwdHeader)) -> Self {
        let mut header: tl::types::MessageFwdHeader = blank_bytes(2).read();
        header.date = date;
        fill(&mut header);
        self.with(|message| message.fwd_from = Some(header.into()))
    }

    /// An answer to a message of the same chat.
    pub fn reply_to(self, id: i32) -> Self {
        self.reply(|header| header.reply_to_msg_id = Some(id))
    }

    /// In a topic of a forum, as an answer to its first message.
    pub fn in_topic(self, topic: i32) -> Self {
        self.reply(|header| {
            header.forum_topic = true;
            header.reply_to_msg_id.get_or_insert(topic);
            header.reply_to_top_id = header
                .reply_to_msg_id
                .filter(|id| *id != topic)
                .and(Some(topic));
        })
    }

    /// Changes the header of the reply, which is made when there is none.
    pub fn reply(mut self, fill: impl FnOnce(&mut tl::types::MessageReplyHeader)) -> Self {
        let slot = match &mut self.0 {
            tl::enums::Message::Message(message) => &mut message.reply_to,
            tl::enums::Message::Service(message) => &mut message.reply_to,
            tl::enums::Message::Empty(_) => return self,
        };
        let mut header = match slot.take() {
            Some(tl::enums::MessageReplyHeader::Header(header)) => header,
            _ => blank_bytes(1).read(),
        };
        fill(&mut header);
        *slot = Some(header.into());
        self
    }

    /// A row with one button that opens an address.
    pub fn url_button(self, text: &str, url: &str) -> Self {
        let url = tl::types::InlineButtonTypeUrl {
            url: url.to_owned(),
        };
        self.button(text, url.into())
    }

    /// A row with one button that calls the bot behind the message.
    pub fn callback_button(self, text: &str, data: &[u8]) -> Self {
        let callback = tl::types::InlineButtonTypeCallback {
            requires_password: false,
            data: data.to_vec(),
        };
        self.button(text, callback.into())
    }

    fn button(self, text: &str, r#type: tl::enums::InlineButtonType) -> Self {
        let button = tl::types::KeyboardInlineButton {
            style: None,
            text: text.to_owned(),
            r#type,
        };
        let row = tl::types::KeyboardInlineButtonRow {
            buttons: vec![button.into()],
        };
        self.with(|message| {
            let mut rows = match message.reply_markup.take() {
                Some(tl::enums::ReplyMarkup::ReplyInlineMarkup(markup)) => markup.rows,
                _ => Vec::new(),
            };
            rows.push(row.into());
            let markup = tl::types::ReplyInlineMarkup {
                force_reply: false,
                rows,
            };
            message.reply_markup = Some(markup.into());
        })
    }

    /// Written by a user: in groups and private chats, or signed in a channel with [`Draft::signed`].
    pub fn from_user(mut self, user_id: i64) -> Self {
        match &mut self.0 {
            tl::enums::Message::Message(message) => message.from_id = Some(user_peer(user_id)),
            tl::enums::Message::Service(message) => message.from_id = Some(user_peer(user_id)),
            tl::enums::Message::Empty(_) => {}
        }
        self
    }

    /// With the name of the author below a post.
    pub fn signed(self, author: &str) -> Self {
        self.with(|message| message.post_author = Some(author.to_owned()))
    }

    /// Made with the help of an inline bot.
    pub fn via_bot(self, bot_id: i64) -> Self {
        self.with(|message| message.via_bot_id = Some(bot_id))
    }

    /// With so many views and forwards from the start.
    pub fn counters(self, views: i32, forwards: i32) -> Self {
        self.with(|message| {
            message.views = Some(views);
            message.forwards = Some(forwards);
        })
    }

    /// Written by the account itself.
    pub fn outgoing(mut self) -> Self {
        match &mut self.0 {
            tl::enums::Message::Message(message) => message.out = true,
            tl::enums::Message::Service(message) => message.out = true,
            tl::enums::Message::Empty(_) => {}
        }
        self
    }

    /// The message as it is when it is posted.
    pub(crate) fn placed(
        mut self,
        id: i32,
        peer: tl::enums::Peer,
        date: i32,
    ) -> tl::enums::Message {
        match &mut self.0 {
            tl::enums::Message::Message(message) => {
                message.post |=
                    matches!(peer, tl::enums::Peer::Channel(_)) && message.from_id.is_none();
                (message.id, message.peer_id, message.date) = (id, peer, date);
            }
            tl::enums::Message::Service(message) => {
                (message.id, message.peer_id, message.date) = (id, peer, date);
            }
            tl::enums::Message::Empty(message) => (message.id, message.peer_id) = (id, Some(peer)),
        }
        self.0
    }

    /// What an edit makes of a message: the content of the draft with the identity of what was there.
    pub(crate) fn in_place_of(
        self,
        old: &tl::enums::Message,
        edit_date: i32,
    ) -> tl::enums::Message {
        let (peer, date) = match old {
            tl::enums::Message::Message(old) => (old.peer_id.clone(), old.date),
            tl::enums::Message::Service(old) => (old.peer_id.clone(), old.date),
            tl::enums::Message::Empty(_) => return old.clone(),
        };
        let draft = self.with(|message| {
            message.edit_date = Some(edit_date);
            if let tl::enums::Message::Message(old) = old {
                message.from_id = message.from_id.take().or_else(|| old.from_id.clone());
                message.views = message.views.or(old.views);
                message.forwards = message.forwards.or(old.forwards);
                message.reactions = message.reactions.take().or_else(|| old.reactions.clone());
                message.grouped_id = message.grouped_id.or(old.grouped_id);
                (message.out, message.post, message.pinned) = (old.out, old.post, old.pinned);
            }
        });
        draft.placed(old.id(), peer, date)
    }
}

pub(crate) fn peer_of(message: &tl::enums::Message) -> Option<&tl::enums::Peer> {
    match message {
        tl::enums::Message::Message(message) => Some(&message.peer_id),
        tl::enums::Message::Service(message) => Some(&message.peer_id),
        tl::enums::Message::Empty(message) => message.peer_id.as_ref(),
    }
}

pub(crate) fn message_mut(message: &mut tl::enums::Message) -> Option<&mut tl::types::Message> {
    match message {
        tl::enums::Message::Message(message) => Some(message),
        _ => None,
    }
}
