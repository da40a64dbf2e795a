//! The text of rich messages: blocks of text in a tree, told as one text with formatting.
//!
//! Blocks are lines. What only shows (pictures, maps, dividers) leaves its caption; a table's cells stand between bars.
//! The tree is kept in the raw bytes.

use grammers_tl_types as tl;

use crate::event::{Entity, EntityKind};

/// Deeper parts of a text are left out; Telegram's own limits are far below.
const DEPTH_MAX: usize = 64;

/// A rich message as text, with its formatting in order of its places.
pub(super) fn read(message: &tl::enums::RichMessage) -> (String, Vec<Entity>) {
    let tl::enums::RichMessage::Message(message) = message;
    let mut page = Page::default();
    page.blocks(&message.blocks, 0);
    page.end();
    page.entities
        .sort_by_key(|entity| (entity.offset, -entity.length));
    (page.text, page.entities)
}

/// Whether Telegram sent only a part of it.
pub(super) fn is_partial(message: &tl::enums::RichMessage) -> bool {
    let tl::enums::RichMessage::Message(message) = message;
    message.part
}

/// What is written so far.
#[derive(Default)]
struct Page {
    text: String,
    /// Its length in UTF-16 units.
    length: i64,
    entities: Vec<Entity>,
}

/// Formatting, before it has a place.
#[derive(Default)]
struct Style {
    kind: Option<EntityKind>,
    url: Option<String>,
    language: Option<String>,
    user_id: Option<i64>,
    document_id: Option<String>,
    collapsed: bool,
}

impl From<EntityKind> for Style {
    fn from(kind: EntityKind) -> Style {
        Style {
            kind: Some(kind),
            ..Style::default()
        }
    }
}

impl Page {
    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.length += i64::try_from(text.encode_utf16().count()).unwrap_or(0);
    }

    /// Begins a line, unless one has just begun.
    fn line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.push("\n");
        }
    }

    /// Takes back the line that a last block without text began.
    fn end(&mut self) {
        if self.text.ends_with('\n') {
            self.text.pop();
            self.length -= 1;
        }
        for entity in &mut self.entities {
            entity.length = entity.length.min(self.length - entity.offset);
        }
        self.entities.retain(|entity| entity.length > 0);
    }

    /// Writes something in this style; nothing is no text to style.
    fn styled(&mut self, style: Style, write: impl FnOnce(&mut Page)) {
        let offset = self.length;
        write(self);
        let length = self.length - offset;
        if let Some(kind) = style.kind.filter(|_| length > 0) {
            self.entities.push(Entity {
                kind,
                offset,
                length,
                url: style.url,
                language: style.language,
                user_id: style.user_id,
                document_id: style.document_id,
                collapsed: style.collapsed,
            });
        }
    }

    fn rich(&mut self, text: &tl::enums::RichText, depth: usize) {
        use tl::enums::RichText as R;
        if depth > DEPTH_MAX {
            return;
        }
        match text {
            R::TextEmpty | R::TextImage(_) => {}
            R::TextPlain(it) => self.push(&it.text),
            R::TextConcat(it) => it.texts.iter().for_each(|text| self.rich(text, depth + 1)),
            R::TextMath(it) => self.styled(EntityKind::Code.into(), |page| page.push(&it.source)),
            R::TextCustomEmoji(it) => {
                let style = Style {
                    document_id: Some(it.document_id.to_string()),
                    ..EntityKind::CustomEmoji.into()
                };
                self.styled(style, |page| page.push(&it.alt));
            }
            other => {
                if let Some((style, inner)) = style(other) {
                    self.styled(style, |page| page.rich(inner, depth + 1));
                }
            }
        }
    }

    /// A line of its own in this style.
    fn paragraph(&mut self, style: impl Into<Style>, text: &tl::enums::RichText, depth: usize) {
        self.line();
        self.styled(style.into(), |page| page.rich(text, depth + 1));
    }

    fn caption(&mut self, caption: &tl::enums::PageCaption, depth: usize) {
        let tl::enums::PageCaption::Caption(caption) = caption;
        self.paragraph(Style::default(), &caption.text, depth);
        self.paragraph(Style::default(), &caption.credit, depth);
    }

    fn blocks(&mut self, blocks: &[tl::enums::PageBlock], depth: usize) {
        if depth <= DEPTH_MAX {
            blocks.iter().for_each(|block| self.block(block, depth));
        }
    }

    fn block(&mut self, block: &tl::enums::PageBlock, depth: usize) {
        use EntityKind::Bold;
        use tl::enums::PageBlock as B;
        match block {
            B::Title(it) => self.paragraph(Bold, &it.text, depth),
            B::Subtitle(it) => self.paragraph(Bold, &it.text, depth),
            B::Header(it) => self.paragraph(Bold, &it.text, depth),
            B::Subheader(it) => self.paragraph(Bold, &it.text, depth),
            B::Kicker(it) => self.paragraph(Bold, &it.text, depth),
            B::Heading1(it) => self.paragraph(Bold, &it.text, depth),
            B::Heading2(it) => self.paragraph(Bold, &it.text, depth),
            B::Heading3(it) => self.paragraph(Bold, &it.text, depth),
            B::Heading4(it) => self.paragraph(Bold, &it.text, depth),
            B::Heading5(it) => self.paragraph(Bold, &it.text, depth),
            B::Heading6(it) => self.paragraph(Bold, &it.text, depth),
            B::Paragraph(it) => self.paragraph(Style::default(), &it.text, depth),
            B::Footer(it) => self.paragraph(Style::default(), &it.text, depth),
            B::Thinking(it) => self.paragraph(Style::default(), &it.text, depth),
            B::AuthorDate(it) => self.paragraph(Style::default(), &it.author, depth),
            B::Math(it) => {
                self.line();
                self.styled(EntityKind::Code.into(), |page| page.push(&it.source));
            }
            B::Preformatted(it) => {
                let style = Style {
                    language: Some(it.language.clone()).filter(|it| !it.is_empty()),
                    ..EntityKind::Pre.into()
                };
                self.paragraph(style, &it.text, depth);
            }
            B::Cover(it) => self.blocks(std::slice::from_ref(&it.cover), depth + 1),
            B::Channel(it) => {
                if let tl::enums::Chat::Channel(channel) = &it.channel {
                    self.line();
                    self.push(&channel.title);
                }
            }
            other => self.compound(other, depth),
        }
    }

    /// Blocks that are made of others, or of a caption.
    fn compound(&mut self, block: &tl::enums::PageBlock, depth: usize) {
        use tl::enums::PageBlock as B;
        match block {
            B::Blockquote(it) => {
                let style = Style {
                    collapsed: it.collapsed,
                    ..EntityKind::Blockquote.into()
                };
                self.paragraph(style, &it.text, depth);
                self.paragraph(Style::default(), &it.caption, depth);
            }
            B::Pullquote(it) => {
                self.paragraph(EntityKind::Blockquote, &it.text, depth);
                self.paragraph(Style::default(), &it.caption, depth);
            }
            B::BlockquoteBlocks(it) => {
                self.line();
                let quote = EntityKind::Blockquote.into();
                self.styled(quote, |page| page.blocks(&it.blocks, depth + 1));
                self.paragraph(Style::default(), &it.caption, depth);
            }
            B::Details(it) => {
                self.paragraph(EntityKind::Bold, &it.title, depth);
                self.blocks(&it.blocks, depth + 1);
            }
            B::EmbedPost(it) => {
                self.line();
                self.push(&it.author);
                self.blocks(&it.blocks, depth + 1);
                self.caption(&it.caption, depth);
            }
            B::Collage(it) => {
                self.blocks(&it.items, depth + 1);
                self.caption(&it.caption, depth);
            }
            B::Slideshow(it) => {
                self.blocks(&it.items, depth + 1);
                self.caption(&it.caption, depth);
            }
            B::Photo(it) => self.caption(&it.caption, depth),
            B::Video(it) => self.caption(&it.caption, depth),
            B::Audio(it) => self.caption(&it.caption, depth),
            B::Document(it) => self.caption(&it.caption, depth),
            B::Embed(it) => self.caption(&it.caption, depth),
            B::Map(it) => self.caption(&it.caption, depth),
            B::List(it) => it.items.iter().for_each(|item| self.item(item, depth)),
            B::OrderedList(it) => self.ordered(it, depth),
            B::Table(it) => self.table(it, depth),
            B::RelatedArticles(it) => self.articles(it, depth),
            B::ButtonRow(it) => {
                for tl::enums::PageButton::Button(button) in &it.buttons {
                    self.paragraph(Style::default(), &button.text, depth);
                }
            }
            // Nothing to read; the rest is told by `block`.
            _ => {}
        }
    }

    fn item(&mut self, item: &tl::enums::PageListItem, depth: usize) {
        use tl::enums::PageListItem as I;
        self.line();
        match item {
            I::Text(it) => {
                self.push(mark(it.checkbox, it.checked).unwrap_or("- "));
                self.rich(&it.text, depth + 1);
            }
            I::Blocks(it) => {
                self.push(mark(it.checkbox, it.checked).unwrap_or("- "));
                self.inline(&it.blocks, depth);
            }
        }
    }

    fn ordered(&mut self, list: &tl::types::PageBlockOrderedList, depth: usize) {
        use tl::enums::PageListOrderedItem as I;
        let mut next = i64::from(list.start.unwrap_or(1));
        let step = if list.reversed { -1 } else { 1 };
        for item in &list.items {
            let (name, value, mark) = match item {
                I::Text(it) => (&it.num, it.value, mark(it.checkbox, it.checked)),
                I::Blocks(it) => (&it.num, it.value, mark(it.checkbox, it.checked)),
            };
            next = value.map_or(next, i64::from);
            self.line();
            match name {
                Some(name) => self.push(&format!("{name}. ")),
                None => self.push(&format!("{next}. ")),
            }
            self.push(mark.unwrap_or_default());
            match item {
                I::Text(it) => self.rich(&it.text, depth + 1),
                I::Blocks(it) => self.inline(&it.blocks, depth),
            }
            next = next.saturating_add(step);
        }
    }

    /// Blocks of which the first goes on in the line that has begun.
    fn inline(&mut self, blocks: &[tl::enums::PageBlock], depth: usize) {
        match blocks.split_first() {
            Some((tl::enums::PageBlock::Paragraph(first), rest)) => {
                self.rich(&first.text, depth + 1);
                self.blocks(rest, depth + 1);
            }
            _ => self.blocks(blocks, depth + 1),
        }
    }

    fn table(&mut self, table: &tl::types::PageBlockTable, depth: usize) {
        self.paragraph(EntityKind::Bold, &table.title, depth);
        for tl::enums::PageTableRow::Row(row) in &table.rows {
            self.line();
            for (at, tl::enums::PageTableCell::Cell(cell)) in row.cells.iter().enumerate() {
                if at > 0 {
                    self.push(" | ");
                }
                if let Some(text) = &cell.text {
                    self.rich(text, depth + 1);
                }
            }
        }
    }

    fn articles(&mut self, articles: &tl::types::PageBlockRelatedArticles, depth: usize) {
        self.paragraph(EntityKind::Bold, &articles.title, depth);
        for tl::enums::PageRelatedArticle::Article(article) in &articles.articles {
            self.line();
            let style = Style {
                url: Some(article.url.clone()),
                ..EntityKind::TextLink.into()
            };
            let title = article.title.as_ref().unwrap_or(&article.url);
            self.styled(style, |page| page.push(title));
        }
    }
}

/// What stands before an item that can be ticked.
fn mark(has_box: bool, is_checked: bool) -> Option<&'static str> {
    match (has_box, is_checked) {
        (false, _) => None,
        (true, false) => Some("[ ] "),
        (true, true) => Some("[x] "),
    }
}

/// The style of a text that is made of one other, and that other.
fn style(text: &tl::enums::RichText) -> Option<(Style, &tl::enums::RichText)> {
    use EntityKind as K;
    use tl::enums::RichText as R;
    Some(match text {
        R::TextBold(it) => (K::Bold.into(), &it.text),
        R::TextItalic(it) => (K::Italic.into(), &it.text),
        R::TextUnderline(it) => (K::Underline.into(), &it.text),
        R::TextStrike(it) => (K::Strikethrough.into(), &it.text),
        R::TextFixed(it) => (K::Code.into(), &it.text),
        R::TextSpoiler(it) => (K::Spoiler.into(), &it.text),
        R::TextMention(it) => (K::Mention.into(), &it.text),
        R::TextHashtag(it) => (K::Hashtag.into(), &it.text),
        R::TextBotCommand(it) => (K::BotCommand.into(), &it.text),
        R::TextCashtag(it) => (K::Cashtag.into(), &it.text),
        R::TextAutoUrl(it) => (K::Link.into(), &it.text),
        R::TextAutoEmail(it) => (K::Email.into(), &it.text),
        R::TextEmail(it) => (K::Email.into(), &it.text),
        R::TextAutoPhone(it) => (K::Phone.into(), &it.text),
        R::TextPhone(it) => (K::Phone.into(), &it.text),
        R::TextBankCard(it) => (K::BankCard.into(), &it.text),
        R::TextUrl(it) => {
            let style = Style {
                url: Some(it.url.clone()),
                ..K::TextLink.into()
            };
            (style, &it.text)
        }
        R::TextMentionName(it) => {
            let style = Style {
                user_id: Some(it.user_id),
                ..K::MentionName.into()
            };
            (style, &it.text)
        }
        // The event model has no word for these: the text stays.
        R::TextSubscript(it) => (Style::default(), &it.text),
        R::TextSuperscript(it) => (Style::default(), &it.text),
        R::TextMarked(it) => (Style::default(), &it.text),
        R::TextAnchor(it) => (Style::default(), &it.text),
        R::TextDate(it) => (Style::default(), &it.text),
        R::TextDiff(it) => (Style::default(), &it.text),
        R::TextButton(it) => (Style::default(), &it.text),
        R::TextTonAddress(it) => (Style::default(), &it.text),
        _ => return None,
    })
}
