//! Making things anew, and the index with them.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Executor as _};

use super::statements::{self, Statements};
use super::{NAME, Sqlite, write};
use crate::failure::Class;
use crate::store::mend::{Known, Mend, Mended, Mending, Subject};
use crate::store::sql::{backend, cause};
use crate::store::{Batch, Projection as _, ProjectionError};

const DOING: &str = "making rows anew";
const SETTLING: &str = "checking the full-text index";

fn fail(error: sqlx::Error) -> ProjectionError {
    backend(NAME, DOING, error)
}

impl Mend for Sqlite {
    async fn mend<K: Known>(
        &mut self,
        mending: Mending<'_>,
        known: &mut K,
    ) -> Result<Mended, K::Error> {
        // As the projection does, in case the file is not as it should be.
        self.checkpoint().await?;
        let mut connection = self.connected(DOING).await?;
        let mended = mend(&self.statements, &mut connection, mending, known).await?;
        self.connection = Some(connection);
        Ok(mended)
    }

    /// Rows that were taken away behind the index leave their words in it.
    async fn settle(&mut self) -> Result<bool, ProjectionError> {
        let mut connection = self.connected(SETTLING).await?;
        let fail = |error| backend(NAME, SETTLING, error);
        let is_wrong = match connection.execute(statements::CHECK_INDEX).await {
            Ok(_) => false,
            Err(error) if cause(NAME, &error).class == Class::Corrupt => true,
            Err(error) => return Err(fail(error)),
        };
        if is_wrong {
            connection
                .execute(statements::MAKE_INDEX)
                .await
                .map_err(fail)?;
        }
        self.connection = Some(connection);
        Ok(is_wrong)
    }
}

async fn mend<K: Known>(
    statements: &Statements,
    connection: &mut SqliteConnection,
    mending: Mending<'_>,
    known: &mut K,
) -> Result<Mended, K::Error> {
    let mut transaction = connection
        .begin_with(statements::BEGIN)
        .await
        .map_err(fail)?;
    let stored = Sqlite::read_checkpoint(&mut transaction)
        .await
        .map_err(fail)?;
    let until = mending.reach(NAME, stored.as_ref())?;
    let mut found = BTreeMap::new();
    for subject in mending.subjects {
        let seqs = seqs(&mut transaction, *subject).await.map_err(fail)?;
        found.insert(*subject, seqs);
    }
    let whole = mending.whole(&found);
    for subject in &whole {
        take_out(&mut transaction, *subject).await.map_err(fail)?;
    }
    let batch = Batch::partial(known.events(&whole, until).await?);
    write::write_what_fits(statements, &mut transaction, &batch).await?;
    transaction.commit().await.map_err(fail)?;
    Ok(mending.done(&whole, &batch))
}

/// Peer 0 stands for none.
fn peer(subject: Subject) -> Option<i64> {
    Some(subject.peer_id).filter(|peer| *peer != 0)
}

/// All numbers in the rows about a thing.
async fn seqs(
    connection: &mut SqliteConnection,
    subject: Subject,
) -> Result<Vec<i64>, sqlx::Error> {
    let sql = match subject.is_message() {
        true => statements::SEQS_OF_MESSAGE,
        false => statements::SEQS_OF_CHANNEL,
    };
    sqlx::query_scalar(sql)
        .bind(peer(subject))
        .bind(subject.message_id)
        .fetch_all(connection)
        .await
}

async fn take_out(connection: &mut SqliteConnection, subject: Subject) -> Result<(), sqlx::Error> {
    let list: &[&'static str] = match subject.is_message() {
        true => &statements::TAKE_OUT_MESSAGE,
        false => &statements::TAKE_OUT_CHANNEL,
    };
    for sql in list {
        sqlx::query(*sql)
            .bind(peer(subject))
            .bind(subject.message_id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
