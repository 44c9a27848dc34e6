//! Payloads of many origins (topics, paths of webhooks): which mappings read them, and the points of each origin.
//!
//! What an origin means is worked out when its first payload comes and kept, so that a payload costs one look-up and one
//! pass over its bytes.

use crate::filter::Filter;
use crate::known::{Arrival, Known, Report};
use crate::settings::{Mapping, TimeSettings};
use crate::text::is_same;
use crate::{Naming, Reader};
use bulkhead_sdk::{Fault, Reading};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};

/// Most origins whose meaning is kept; when a further one comes, all are worked out anew as their payloads come. More than
/// a connection can have points for.
pub const KEPT_ORIGINS_MAX: usize = 20_000;
/// Longest origin that is read, in bytes.
pub const ORIGIN_MAX_BYTES: usize = 512;

/// A filter of origins with the mapping that reads their payloads.
#[derive(Debug)]
pub struct Rule {
    filter: Filter,
    template: String,
    reader: Reader,
    /// For payloads that are an array of objects, where the mapping is one of objects.
    array_reader: Option<Reader>,
}

/// What a rule is made of.
#[derive(Clone, Debug)]
pub struct RuleSettings<'a> {
    /// The key of the filter in the settings, for messages.
    pub key: &'static str,
    /// The filter.
    pub filter: &'a str,
    /// The name template; none: what the wildcards matched, then the point's own name, with dots between.
    pub name: Option<&'a str>,
    /// The mapping.
    pub mapping: Mapping,
    /// Whether a payload that is an array is read element by element although the mapping has no `each`.
    pub takes_arrays: bool,
}

impl Rule {
    /// Checks and compiles.
    ///
    /// # Errors
    /// Every mistake, each a sentence that names its key.
    pub fn compile(settings: &RuleSettings<'_>) -> Result<Rule, Vec<String>> {
        let mut mistakes = Vec::new();
        let filter =
            Filter::parse(settings.filter).map_err(|mistake| mistakes.push(format!("{}: {mistake}", settings.key)));
        if let (Ok(filter), Some(template)) = (&filter, settings.name) {
            mistakes.extend(template_mistake(filter, template, settings.mapping.points.len()));
        }
        let reader = Reader::new(&settings.mapping).map_err(|found| mistakes.extend(found));
        let by_element = settings.takes_arrays && settings.mapping.each.is_none();
        let array_reader = by_element.then(|| Reader::new(&of_elements(&settings.mapping)).ok()).flatten();
        match (filter, reader) {
            (Ok(filter), Ok(reader)) if mistakes.is_empty() => {
                let template = settings.name.map_or_else(|| default_template(&filter), str::to_owned);
                Ok(Rule { filter, template, reader, array_reader })
            }
            _ => Err(mistakes),
        }
    }

    fn reader_of(&mut self, payload: &[u8]) -> &mut Reader {
        let is_array = payload.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
        match &mut self.array_reader {
            Some(reader) if is_array => reader,
            _ => &mut self.reader,
        }
    }
}

/// The mapping of an object as one of each element of an array.
fn of_elements(mapping: &Mapping) -> Mapping {
    let time_path = mapping.time.as_ref().and_then(|time| time.path.clone());
    let time = mapping.time.as_ref().map(|time| TimeSettings { path: None, ..time.clone() });
    Mapping { each: Some("[*]".to_owned()), time_path, time, ..mapping.clone() }
}

/// `{1}.{2}.{path}` for two wildcards.
fn default_template(filter: &Filter) -> String {
    (1..=filter.names().count()).map(|position| format!("{{{position}}}.")).collect::<String>() + "{path}"
}

fn template_mistake(filter: &Filter, template: &str, points: usize) -> Option<String> {
    let captured = vec!["x"; filter.names().count()];
    match Naming::new(template, |key| filter.fill(key, "x", &captured)) {
        Err(mistake) => {
            let names = filter.names().enumerate().map(|(index, name)| match name {
                "" => (index + 1).to_string(),
                name => name.to_owned(),
            });
            let names: Vec<String> = std::iter::once("path".to_owned()).chain(names).collect();
            Some(format!("name: {mistake}; this filter has {{{}}}", names.join("}, {")))
        }
        Ok(naming) if !naming.has_path() && points != 1 => {
            Some(format!("name: `{template}` gives every point the same name; `{{path}}` is missing"))
        }
        Ok(_) => None,
    }
}

/// The rules, and what each origin seen so far means.
#[derive(Debug)]
pub struct Origins {
    rules: Vec<Rule>,
    /// By what [`Origins::places`] says.
    meanings: Vec<Vec<Meaning>>,
    /// The names of origins with their places. Not a `HashMap`, because that compares names byte by byte in a guest.
    places: HashTable<(Box<str>, usize)>,
    hasher: RandomState,
}

/// One way an origin is read.
#[derive(Debug)]
struct Meaning {
    rule: usize,
    points: Known,
}

impl Origins {
    /// Takes the rules. Origins without wildcards are known at once: their points are in the catalogue before a first
    /// payload.
    ///
    /// # Errors
    /// The host's: too many points, or a name that is none.
    pub fn new(rules: Vec<Rule>) -> Result<Origins, Fault> {
        let mut origins = Origins { rules, meanings: Vec::new(), places: HashTable::new(), hasher: RandomState::new() };
        let known: Vec<String> = origins.rules.iter().filter_map(|rule| rule.filter.only_topic()).collect();
        for origin in known {
            let meanings = origins.meanings_of(&origin)?;
            origins.keep(origin, meanings);
        }
        Ok(origins)
    }

    /// How many rules and known origins there are.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.rules.len(), self.meanings.len())
    }

    /// Whether any rule reads payloads of an origin.
    ///
    /// # Errors
    /// As [`Origins::read`].
    pub fn is_read(&mut self, origin: &str) -> Result<bool, Fault> {
        Ok(self.place(origin).is_some() || self.learn(origin)?.is_some())
    }

    /// Reads a payload by every rule whose filter matches its origin. False: there is none.
    ///
    /// # Errors
    /// The origin cannot be read at all: it is too long, or the host takes no more points.
    pub fn read(
        &mut self,
        origin: &str,
        payload: &[u8],
        arrival: Arrival<'_>,
        readings: &mut Vec<Reading>,
        report: Report<'_>,
    ) -> Result<bool, Fault> {
        let place = match self.place(origin) {
            Some(place) => Some(place),
            None => self.learn(origin)?,
        };
        let Some(place) = place else { return Ok(false) };
        for meaning in &mut self.meanings[place] {
            let reader = self.rules[meaning.rule].reader_of(payload);
            meaning.points.read(reader, payload, arrival, readings, report);
        }
        Ok(true)
    }

    /// Where an origin is that has been seen.
    fn place(&self, origin: &str) -> Option<usize> {
        let is_it = |(name, _): &(Box<str>, usize)| is_same(name.as_bytes(), origin.as_bytes());
        self.places.find(self.hasher.hash_one(origin), is_it).map(|(_, place)| *place)
    }

    /// Works out what an origin means and keeps it; its place. One that no rule reads is not kept: anybody can make up more of them.
    fn learn(&mut self, origin: &str) -> Result<Option<usize>, Fault> {
        if origin.len() > ORIGIN_MAX_BYTES {
            let start = &origin[..origin.floor_char_boundary(60)];
            let message = format!("{start}…: {} bytes, at most {ORIGIN_MAX_BYTES} are read", origin.len());
            return Err(Fault::reject("topic-too-long", message));
        }
        let meanings = self.meanings_of(origin)?;
        if meanings.is_empty() {
            return Ok(None);
        }
        if self.meanings.len() >= KEPT_ORIGINS_MAX {
            self.meanings.clear();
            self.places.clear();
        }
        Ok(Some(self.keep(origin.to_owned(), meanings)))
    }

    fn keep(&mut self, origin: String, meanings: Vec<Meaning>) -> usize {
        let place = self.meanings.len();
        self.meanings.push(meanings);
        let hash = |(name, _): &(Box<str>, usize)| self.hasher.hash_one(&**name);
        self.places.insert_unique(self.hasher.hash_one(&origin), (origin.into(), place), hash);
        place
    }

    /// The rules whose filters match an origin, with their points declared under its names.
    fn meanings_of(&self, origin: &str) -> Result<Vec<Meaning>, Fault> {
        let mut meanings = Vec::new();
        for (index, rule) in self.rules.iter().enumerate() {
            if let Some(captured) = rule.filter.captures(origin) {
                let naming = Naming::new(&rule.template, |key| rule.filter.fill(key, origin, &captured))
                    .map_err(|mistake| Fault::reconfigure("bad-settings", mistake))?;
                let points = Known::declare(&rule.reader, naming)
                    .map_err(|fault| Fault { message: format!("{origin}: {}", fault.message), ..fault })?;
                meanings.push(Meaning { rule: index, points });
            }
        }
        Ok(meanings)
    }
}
