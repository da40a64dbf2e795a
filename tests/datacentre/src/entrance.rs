//! How clients may log in, and the files that they may load, as a test sets it up.

use grammers_tl_types as tl;
use tl::Serializable;

use crate::centre::DataCentre;
use crate::content::{Document, Photo};
use crate::srp::Verifier;
use crate::wire::message::Outgoing;
use crate::world::{FileKind, Password, Phone, StoredFile};

impl DataCentre {
    /// Lets an account log in by phone: the code is always this one.
    pub fn add_phone(&self, account: usize, number: &str, code: &str) {
        self.add_any_phone(Some(account), number, code);
    }

    /// A phone with which nobody has signed up.
    pub fn add_unknown_phone(&self, number: &str, code: &str) {
        self.add_any_phone(None, number, code);
    }

    fn add_any_phone(&self, account: Option<usize>, number: &str, code: &str) {
        let (number, code) = (number.to_owned(), code.to_owned());
        let phone = Phone { account, code };
        self.shared
            .change(|world| world.logins.phones.insert(number, phone));
    }

    /// Lets an account, which should be of a bot, log in by token.
    pub fn add_bot_token(&self, account: usize, token: &str) {
        self.shared
            .change(|world| world.logins.bots.insert(token.to_owned(), account));
    }

    /// An account asks for a password from now on, whenever somebody logs in by phone or QR code.
    pub fn set_password(&self, account: usize, password: &str, hint: &str) {
        // Slow by design, and so not under the lock.
        let password = Password {
            verifier: Verifier::new(password),
            hint: hint.to_owned(),
        };
        self.shared
            .change(|world| world.logins.passwords.insert(account, password));
    }

    /// Another client of an account scans a token of `auth.exportLoginToken`, and whoever shows it is told. Whether
    /// there is such a token, and it has not expired.
    pub fn scan_login_token(&self, account: usize, token: &[u8]) -> bool {
        self.scan(account, token, None)
    }

    /// The same, for an account that lives in another data centre, to which whoever shows the token is sent.
    pub fn scan_login_token_elsewhere(&self, account: usize, token: &[u8], dc_id: i32) -> bool {
        self.scan(account, token, Some(dc_id))
    }

    fn scan(&self, account: usize, token: &[u8], moved_to: Option<i32>) -> bool {
        self.shared.change(|world| {
            let date = world.date();
            let token = world.logins.tokens.get_mut(token);
            let Some(token) = token.filter(|token| date < token.expires) else {
                return false;
            };
            (token.scanned_by, token.moved_to) = (Some(account), moved_to);
            let update = tl::enums::Update::LoginToken;
            let body = tl::enums::Updates::from(tl::types::UpdateShort { update, date }).to_bytes();
            let links = world
                .links
                .values()
                .filter(|link| link.key == Some(token.key));
            links.for_each(|link| link.send(Outgoing::news(body.clone())));
            true
        })
    }

    /// The account that a key is logged in to.
    pub fn account_of(&self, key: [u8; 256]) -> Option<usize> {
        let id = crate::wire::seal::Key::new(key).id();
        self.shared.look(|world| world.keys.get(&id)?.account)
    }

    /// A photo that can be posted and loaded.
    pub fn add_photo(&self, bytes: &[u8]) -> Photo {
        self.shared.change(|world| {
            let (id, dc_id, date) = (world.next_peer_id(), world.options.dc_id, world.date());
            world.files.store(id, stored(FileKind::Photo, bytes, dc_id));
            Photo::new(id, bytes.len(), dc_id, date)
        })
    }

    /// A document that can be posted and loaded.
    pub fn add_document(&self, name: &str, mime_type: &str, bytes: &[u8]) -> Document {
        self.add_document_in(self.dc_id(), name, mime_type, bytes)
    }

    /// A document that is kept in another data centre.
    pub fn add_document_in(
        &self,
        dc_id: i32,
        name: &str,
        mime_type: &str,
        bytes: &[u8],
    ) -> Document {
        self.shared.change(|world| {
            let (id, date) = (world.next_peer_id(), world.date());
            world
                .files
                .store(id, stored(FileKind::Document, bytes, dc_id));
            Document::new(id, name, mime_type, bytes.len(), dc_id, date)
        })
    }

    /// No file can be loaded any more by a reference that a client has been given.
    pub fn expire_file_references(&self) {
        self.shared.change(|world| world.files.expire_references());
    }
}

fn stored(kind: FileKind, bytes: &[u8], dc_id: i32) -> StoredFile {
    StoredFile {
        kind,
        bytes: bytes.to_vec(),
        dc_id,
    }
}
