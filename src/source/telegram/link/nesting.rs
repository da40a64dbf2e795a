//! How deep an answer may be nested. Some types hold themselves, and the library reads them by recursion, four bytes of
//! an answer for each level: one answer could use up any stack, which ends the process and not just the task. So what
//! may be too deep is not read at all.

use grammers_tl_types::{Identifiable, types as t};

/// Stack of the threads that read, keep, write and drop answers. Only what is used of it takes memory.
pub const STACK_BYTES: usize = match cfg!(debug_assertions) {
    // Without optimisation a level takes some ten times as much.
    true => 512 << 20,
    false => 64 << 20,
};

/// Things in an answer that may hold their own kind: not more of them can be inside each other, and a hundred messages
/// with a preview each have far fewer. Reading takes up to 3 KiB of the stack for one of them.
const NESTING_MAX: usize = 10_000;

/// Every constructor of the schema (layer 230) through which a value of a type can hold a value of that type: those
/// that name a type of their own strongly connected component.
const NESTING: [u32; 54] = sorted([
    t::JsonArray::CONSTRUCTOR_ID,
    t::JsonObject::CONSTRUCTOR_ID,
    t::JsonObjectValue::CONSTRUCTOR_ID,
    t::MessageExtendedMedia::CONSTRUCTOR_ID,
    t::MessageMediaInvoice::CONSTRUCTOR_ID,
    t::MessageMediaPaidMedia::CONSTRUCTOR_ID,
    t::MessageMediaPoll::CONSTRUCTOR_ID,
    t::MessageMediaStory::CONSTRUCTOR_ID,
    t::MessageMediaWebPage::CONSTRUCTOR_ID,
    t::PageBlockBlockquoteBlocks::CONSTRUCTOR_ID,
    t::PageBlockCollage::CONSTRUCTOR_ID,
    t::PageBlockCover::CONSTRUCTOR_ID,
    t::PageBlockDetails::CONSTRUCTOR_ID,
    t::PageBlockEmbedPost::CONSTRUCTOR_ID,
    t::PageBlockList::CONSTRUCTOR_ID,
    t::PageBlockOrderedList::CONSTRUCTOR_ID,
    t::PageBlockSlideshow::CONSTRUCTOR_ID,
    t::PageListItemBlocks::CONSTRUCTOR_ID,
    t::PageListOrderedItemBlocks::CONSTRUCTOR_ID,
    t::Poll::CONSTRUCTOR_ID,
    t::PollAnswer::CONSTRUCTOR_ID,
    t::PollResults::CONSTRUCTOR_ID,
    t::SecureRequiredTypeOneOf::CONSTRUCTOR_ID,
    t::StoryItem::CONSTRUCTOR_ID,
    t::TextAnchor::CONSTRUCTOR_ID,
    t::TextAutoEmail::CONSTRUCTOR_ID,
    t::TextAutoPhone::CONSTRUCTOR_ID,
    t::TextAutoUrl::CONSTRUCTOR_ID,
    t::TextBankCard::CONSTRUCTOR_ID,
    t::TextBold::CONSTRUCTOR_ID,
    t::TextBotCommand::CONSTRUCTOR_ID,
    t::TextButton::CONSTRUCTOR_ID,
    t::TextCashtag::CONSTRUCTOR_ID,
    t::TextConcat::CONSTRUCTOR_ID,
    t::TextDate::CONSTRUCTOR_ID,
    t::TextDiff::CONSTRUCTOR_ID,
    t::TextEmail::CONSTRUCTOR_ID,
    t::TextFixed::CONSTRUCTOR_ID,
    t::TextHashtag::CONSTRUCTOR_ID,
    t::TextItalic::CONSTRUCTOR_ID,
    t::TextMarked::CONSTRUCTOR_ID,
    t::TextMention::CONSTRUCTOR_ID,
    t::TextMentionName::CONSTRUCTOR_ID,
    t::TextPhone::CONSTRUCTOR_ID,
    t::TextSpoiler::CONSTRUCTOR_ID,
    t::TextStrike::CONSTRUCTOR_ID,
    t::TextSubscript::CONSTRUCTOR_ID,
    t::TextSuperscript::CONSTRUCTOR_ID,
    t::TextTonAddress::CONSTRUCTOR_ID,
    t::TextUnderline::CONSTRUCTOR_ID,
    t::TextUrl::CONSTRUCTOR_ID,
    t::WebPage::CONSTRUCTOR_ID,
    t::WebPageAttributeStory::CONSTRUCTOR_ID,
    t::InputPollAnswer::CONSTRUCTOR_ID,
]);

/// Whether bytes of TL can be read without a danger for the stack. Numbers in it are on boundaries of four bytes, so
/// there is no level without one of those constructors on such a boundary; what only looks like one is counted too.
pub(super) fn is_shallow(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks::<4>();
    let nesting = words.iter().filter(|word| {
        let word = u32::from_le_bytes(**word);
        NESTING.binary_search(&word).is_ok()
    });
    nesting.take(NESTING_MAX + 1).count() <= NESTING_MAX
}

const fn sorted<const N: usize>(mut ids: [u32; N]) -> [u32; N] {
    let mut end = N;
    while end > 1 {
        let mut at = 1;
        while at < end {
            if ids[at - 1] > ids[at] {
                ids.swap(at - 1, at);
            }
            at += 1;
        }
        end -= 1;
    }
    ids
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use futures_util::future::BoxFuture;
    use grammers_mtsender::InvocationError;
    use grammers_tl_types::{self as tl, Deserializable, Serializable};
    use tokio::sync::mpsc;

    use super::super::*;
    use super::*;

    /// So many levels of the value in the middle.
    fn nested(levels: usize, level: &[u8], middle: impl Serializable) -> Vec<u8> {
        let mut bytes = level.repeat(levels);
        middle.serialize(&mut bytes);
        bytes
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|it| it.to_le_bytes()).collect()
    }

    fn array() -> Vec<u8> {
        const VECTOR: u32 = 0x1cb5_c415;
        words(&[t::JsonArray::CONSTRUCTOR_ID, VECTOR, 1])
    }

    fn paid() -> Vec<u8> {
        const VECTOR: u32 = 0x1cb5_c415;
        let (outer, inner) = (
            t::MessageMediaPaidMedia::CONSTRUCTOR_ID,
            t::MessageExtendedMedia::CONSTRUCTOR_ID,
        );
        words(&[outer, 0, 0, VECTOR, 1, inner])
    }

    /// Reads, copies, compares, shows, writes and drops a value on a stack of the size that threads have.
    fn survives<T>(bytes: Vec<u8>)
    where
        T: Deserializable + Serializable + Clone + PartialEq + Send + 'static,
    {
        assert!(is_shallow(&bytes));
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let lived = thread.spawn(move || {
            let value = T::from_bytes(&bytes).expect("well made");
            assert!(value.clone() == value);
            assert_eq!(value.to_bytes(), bytes);
        });
        lived.expect("a thread").join().expect("no panic");
    }

    #[test]
    fn the_deepest_that_is_read_fits_the_stack() {
        let bold = words(&[t::TextBold::CONSTRUCTOR_ID]);
        survives::<tl::enums::RichText>(nested(NESTING_MAX, &bold, tl::enums::RichText::TextEmpty));
        let cover = words(&[t::PageBlockCover::CONSTRUCTOR_ID]);
        let blocks = nested(NESTING_MAX, &cover, tl::enums::PageBlock::Divider);
        survives::<tl::enums::PageBlock>(blocks);
        let arrays = nested(NESTING_MAX, &array(), tl::enums::Jsonvalue::JsonNull);
        survives::<tl::enums::Jsonvalue>(arrays);
        let media = nested(NESTING_MAX / 2, &paid(), tl::enums::MessageMedia::Empty);
        survives::<tl::enums::MessageMedia>(media);
    }

    /// Answers everything with a configuration that is far too deep for any stack.
    struct Deep;

    impl Wire for Deep {
        fn invoke(&self, _: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, InvocationError>> {
            let mut bytes = words(&[t::help::AppConfig::CONSTRUCTOR_ID, 0]);
            bytes.extend(nested(1_000_000, &array(), tl::enums::Jsonvalue::JsonNull));
            Box::pin(async { Ok(bytes) })
        }

        fn disconnect(&self) {}
    }

    #[tokio::test]
    async fn an_answer_that_would_use_up_the_stack_is_one_that_cannot_be_read() {
        let connection = Connection {
            wire: Arc::new(Deep),
            updates: mpsc::channel(1).1,
            runner: Box::pin(std::future::pending()),
        };
        let budget = Arc::new(Mutex::new(Budget::new(1, Instant::now())));
        let (link, _parts) = Link::open(connection, budget, "main", &Status::new());
        let request = tl::functions::help::GetAppConfig { hash: 0 };
        let fault = link.send(&request, REQUEST_TIMEOUT).await;
        let fault = fault.expect_err("too deep");
        assert!(matches!(fault.failure, Failure::Undecodable { .. }));
    }

    #[test]
    fn one_level_more_is_not_read() {
        for level in [words(&[t::TextBold::CONSTRUCTOR_ID]), array()] {
            let bytes = nested(NESTING_MAX + 1, &level, tl::enums::RichText::TextEmpty);
            assert!(!is_shallow(&bytes));
        }
        assert!(is_shallow(&[]));
        assert!(is_shallow(&[1, 2, 3]));
        assert!(is_shallow(&vec![7; 1 << 20]), "large is not deep");
    }
}
