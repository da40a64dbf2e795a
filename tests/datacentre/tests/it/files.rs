//! Files, and the references that have to be fresh.

use datacentre::{ChannelSpec, DataCentre, Document, Draft};
use grammers_client::tl;
use grammers_session::Session;
use grammers_session::types::DcOption;
use tl::functions as f;

use crate::support::{Visitor, error_name, session_with, start, start_with};

/// Posts a document: the channel, and the document as it is there.
fn posted(dc: &DataCentre, document: &Document) -> (i64, tl::types::Document) {
    let channel = dc.add_channel(ChannelSpec::broadcast("Files"));
    dc.post(channel, Draft::from("a file").document(document));
    (channel, document_in(dc, channel))
}

fn document_in(dc: &DataCentre, channel: i64) -> tl::types::Document {
    let messages = dc.messages(channel);
    let [tl::enums::Message::Message(message)] = &messages[..] else {
        panic!("{messages:?}");
    };
    match &message.media {
        Some(tl::enums::MessageMedia::Document(media)) => match &media.document {
            Some(tl::enums::Document::Document(document)) => document.clone(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn part_of(document: &tl::types::Document, offset: i64, limit: i32) -> f::upload::GetFile {
    f::upload::GetFile {
        precise: false,
        cdn_supported: false,
        location: tl::types::InputDocumentFileLocation {
            id: document.id,
            access_hash: document.access_hash,
            file_reference: document.file_reference.clone(),
            thumb_size: String::new(),
        }
        .into(),
        offset,
        limit,
    }
}

fn bytes_of(file: tl::enums::upload::File) -> Vec<u8> {
    match file {
        tl::enums::upload::File::File(file) => file.bytes,
        tl::enums::upload::File::CdnRedirect(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_file_is_loaded_in_parts_until_its_reference_expires() {
    let dc = start().await;
    let content: Vec<u8> = (0..9000_u32)
        .map(|number| number.to_le_bytes()[0])
        .collect();
    let (channel, document) = posted(
        &dc,
        &dc.add_document("a.bin", "application/octet-stream", &content),
    );
    let visitor = Visitor::new(&dc).await;
    let mut loaded = Vec::new();
    for offset in [0, 4096, 8192] {
        let part = visitor.ask(&part_of(&document, offset, 4096)).await;
        loaded.extend(bytes_of(part.expect("a part")));
    }
    assert_eq!(loaded, content);
    let end = visitor.ask(&part_of(&document, 12_288, 4096)).await;
    assert!(bytes_of(end.expect("nothing more")).is_empty());

    dc.expire_file_references();
    let answer = visitor.ask(&part_of(&document, 0, 4096)).await;
    assert_eq!(error_name(answer), "FILE_REFERENCE_EXPIRED");
    let fresh = document_in(&dc, channel);
    let part = visitor.ask(&part_of(&fresh, 0, 4096)).await;
    assert_eq!(bytes_of(part.expect("a part")), content[..4096]);
}

#[tokio::test]
async fn what_telegram_refuses_is_refused() {
    let dc = start().await;
    let (_, document) = posted(&dc, &dc.add_document("a.txt", "text/plain", b"some text"));
    let visitor = Visitor::new(&dc).await;
    let crooked = visitor.ask(&part_of(&document, 0, 1000)).await;
    assert_eq!(error_name(crooked), "LIMIT_INVALID");
    let crooked = visitor.ask(&part_of(&document, 7, 4096)).await;
    assert_eq!(error_name(crooked), "OFFSET_INVALID");
    let access_hash = document.access_hash + 1;
    let guessed = tl::types::Document {
        access_hash,
        ..document
    };
    let answer = visitor.ask(&part_of(&guessed, 0, 4096)).await;
    assert_eq!(error_name(answer), "LOCATION_INVALID");
}

#[tokio::test]
async fn a_file_of_another_data_centre_is_loaded_there_with_the_login_copied() {
    let dc = start_with(|options| options.other_dcs = vec![4]).await;
    let document = dc.add_document_in(4, "a.txt", "text/plain", b"from afar");
    let (_, document) = posted(&dc, &document);
    let session = session_with(&dc, dc.auth_key()).await;
    let elsewhere = DcOption {
        id: 4,
        ipv4: dc.address_of(4).expect("an address"),
        auth_key: Some(dc.add_key(None)),
        ..session.dc_option(2).expect("kept").expect("an option")
    };
    session.set_dc_option(&elsewhere).await.expect("kept");
    let visitor = Visitor::with_session(session);
    let answer = visitor.ask(&part_of(&document, 0, 4096)).await;
    assert_eq!(error_name(answer), "FILE_MIGRATE");
    let export = f::auth::ExportAuthorization { dc_id: 4 };
    let exported = visitor.ask(&export).await.expect("a proof");
    let tl::enums::auth::ExportedAuthorization::Authorization(proof) = exported;
    let import = f::auth::ImportAuthorization {
        id: proof.id,
        bytes: proof.bytes,
    };
    let client = &visitor.client;
    client.invoke_in_dc(4, &import).await.expect("logs in");
    let part = client.invoke_in_dc(4, &part_of(&document, 0, 4096)).await;
    assert_eq!(bytes_of(part.expect("a part")), b"from afar");
    let again = client.invoke_in_dc(4, &import).await;
    assert_eq!(error_name(again), "AUTH_BYTES_INVALID");
}
