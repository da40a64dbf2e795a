//! The layer of the environment: `TGW_SECTION__KEY`, and `TGW_SECTION__URL__FILE` for a secret that is elsewhere.

use std::path::Path;

use super::keys::{self, Key};
use super::layer::Layers;
use super::problem::Origin;
use super::reference::{Environment, Place};
use super::value::{self, Wrong};

/// Names that mean something to the tests or to the command line, not to the configuration.
const FOREIGN: [&str; 4] = ["TGW_CONFIG", "TGW_LOG", "TGW_REQUIRE_SERVICES", "TGW_FAST"];
const FOREIGN_PREFIXES: [&str; 2] = ["TGW_TEST_", "TGW_SERVICES_"];

/// Reads variables into the layers. A value of none is text that is not UTF-8.
pub(super) fn read(
    layers: &mut Layers,
    variables: &[(String, Option<String>)],
    environment: Environment<'_>,
) {
    for (name, text) in variables {
        let foreign = FOREIGN.contains(&name.as_str())
            || FOREIGN_PREFIXES.iter().any(|p| name.starts_with(p));
        if foreign || !name.starts_with("TGW_") {
            continue;
        }
        let origin = Origin::Environment(name.clone());
        let (key, place) = match target(name) {
            Ok(Some(target)) => target,
            Ok(None) => continue,
            Err(wrong) => {
                layers.wrong(origin, wrong);
                continue;
            }
        };
        layers.mention(key.section, &origin);
        let Some(text) = text else {
            let wrong = Wrong::new("the value is not UTF-8 text", "set it to UTF-8 text");
            layers.spoil(key, origin, wrong);
            continue;
        };
        match place.or(key.kind.place()) {
            Some(place) => {
                let base = Path::new("");
                layers.take_secret(key, origin, (place, text), base, environment);
            }
            None => layers.take(key, origin, value::from_text(key, text)),
        }
    }
}

/// The key that a variable sets, and where its secret is when it only says so. None: not ours.
fn target(name: &str) -> Result<Option<(&'static Key, Option<Place>)>, Wrong> {
    let variables: Vec<(String, &'static Key)> =
        keys::KEYS.iter().map(|key| (key.variable(), key)).collect();
    if let Some((_, key)) = variables.iter().find(|(variable, _)| variable == name) {
        return Ok(Some((key, None)));
    }
    if let Some((variable, place)) = name.rsplit_once("__")
        && let Some((_, key)) = variables.iter().find(|(known, _)| known == variable)
        && key.kind.is_secret()
    {
        return match Place::from_name(&place.to_ascii_lowercase()) {
            Some(place) => Ok(Some((key, Some(place)))),
            None => Err(Wrong::new(
                format!("{} cannot be in {place:?}", key.path()),
                format!("write {variable}__FILE, __ENV or __CREDENTIAL"),
            )),
        };
    }
    // One underscore where two belong would set nothing, silently.
    let single = variables
        .iter()
        .find(|(variable, _)| variable.replace("__", "_") == name.to_ascii_uppercase());
    if let Some((variable, _)) = single {
        return Err(unknown(Some(variable)));
    }
    if name.contains("__") {
        let names = variables.iter().map(|(variable, _)| variable.as_str());
        return Err(unknown(keys::nearest(name, names)));
    }
    Ok(None)
}

fn unknown(meant: Option<&str>) -> Wrong {
    let remedy = match meant {
        Some(meant) => format!("did you mean {meant}?"),
        None => "unset it; names are TGW_SECTION__KEY, and `telegram-gateway config defaults` \
                 lists the keys"
            .to_owned(),
    };
    Wrong::new("no key of the configuration has this name", remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_variable_that_finds_it() {
        for key in keys::KEYS {
            let found = target(&key.variable()).expect("known").expect("ours");
            assert_eq!(found.0.path(), key.path());
            for place in Place::NAMES {
                if !key.kind.is_secret() {
                    continue;
                }
                let form = format!("{}__{}", key.variable(), place.to_ascii_uppercase());
                let (found, place) = target(&form).expect("known").expect("ours");
                assert_eq!(found.path(), key.path());
                assert!(place.is_some());
            }
        }
    }

    #[test]
    fn near_misses_are_wrong_and_strangers_are_not_ours() {
        let remedy = |name: &str| target(name).expect_err("unknown").remedy;
        assert_eq!(
            remedy("TGW_WAL__SEGMENT_BYTE_MAX"),
            "did you mean TGW_WAL__SEGMENT_BYTES_MAX?"
        );
        assert_eq!(remedy("TGW_REDIS_TTL"), "did you mean TGW_REDIS__TTL?");
        assert_eq!(target("TGW_HOME").expect("a stranger").map(|_| ()), None);
        assert!(target("TGW_WAL__WINDOW__FILE").is_err());
    }
}
