//! `upload.getFile`.

use grammers_tl_types as tl;
use tl::Identifiable;
use tl::functions::upload as f;

use super::{Answer, Call, run};
use crate::faults::RpcError;
use crate::world::{FileKind, file_hash};

/// Parts begin and end at multiples of this.
const GRAIN: i64 = 4096;
const PART_MAX: i64 = 1 << 20;

pub(super) fn answer(call: &mut Call<'_>, id: u32, body: &[u8]) -> Option<Answer<Vec<u8>>> {
    Some(match id {
        f::GetFile::CONSTRUCTOR_ID => run(call, body, get_file),
        _ => return None,
    })
}

fn get_file(call: &mut Call<'_>, request: f::GetFile) -> Answer<tl::enums::upload::File> {
    call.account()?;
    let (kind, id, hash, reference) = match &request.location {
        tl::enums::InputFileLocation::InputDocumentFileLocation(it) => (
            FileKind::Document,
            it.id,
            it.access_hash,
            &it.file_reference,
        ),
        tl::enums::InputFileLocation::InputPhotoFileLocation(it) => {
            (FileKind::Photo, it.id, it.access_hash, &it.file_reference)
        }
        _ => return Err(RpcError::bad_request("LOCATION_INVALID")),
    };
    let files = &call.world.files;
    let file = files
        .get(id)
        .filter(|file| file.kind == kind && hash == file_hash(id));
    let file = file.ok_or_else(|| RpcError::bad_request("LOCATION_INVALID"))?;
    if file.dc_id != call.dc_id {
        return Err(RpcError::migrate("FILE", file.dc_id));
    }
    if *reference != files.reference(id) {
        return Err(RpcError::bad_request("FILE_REFERENCE_EXPIRED"));
    }
    let limit = i64::from(request.limit);
    if !(1..=PART_MAX).contains(&limit) || limit % GRAIN != 0 {
        return Err(RpcError::bad_request("LIMIT_INVALID"));
    }
    let offset = usize::try_from(request.offset)
        .ok()
        .filter(|_| request.offset % GRAIN == 0);
    let offset = offset.ok_or_else(|| RpcError::bad_request("OFFSET_INVALID"))?;
    let rest = file.bytes.get(offset..).unwrap_or_default();
    let length = rest.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(tl::types::upload::File {
        r#type: match kind {
            FileKind::Photo => tl::enums::storage::FileType::FileJpeg,
            FileKind::Document => tl::enums::storage::FileType::FileUnknown,
        },
        mtime: call.world.date(),
        bytes: rest[..length].to_vec(),
    }
    .into())
}
