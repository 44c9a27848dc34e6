//! Batches of readings to the service: entity by entity, or by `$batch`, down to the entity that is refused.

use crate::entity::{Change, Mapping, entry_name};
use crate::error_text::error_text;
use crate::exchange::{Exchange, PartAnswer};
use crate::settings::{Send, Settings};
use crate::{batch_json, multipart};
use bulkhead_sdk::http::Incoming;
use bulkhead_sdk::prelude::*;
use bulkhead_upstream::{DeliveryTime, Progress, Verdict, Verdicts, key_of_part, retry_fault};

/// Delivers batches.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) exchange: Exchange,
    mapping: Mapping,
    verdicts: Verdicts,
    has_own_rejects: bool,
    send: Send,
    change_set: bool,
    batch_size: usize,
}

/// What a request came to.
enum Sent {
    Taken,
    /// It will never be taken.
    Refused(Fault),
    /// It may be taken later.
    Later(Fault),
}

/// A reading and its entity.
type Prepared<'b> = (&'b Entry, Change);

impl Delivery {
    /// Checks and compiles the settings.
    ///
    /// # Errors
    /// Every mistake, each a sentence that names its key.
    pub(crate) fn compile(settings: &Settings) -> Result<Delivery, Vec<String>> {
        let mut mistakes = crate::headers::mistakes(settings);
        if settings.batch_size == 0 || settings.batch_size > crate::settings::BATCH_SIZE_MAX {
            mistakes.push(format!("batch_size: {} is not within 1 to 1000", settings.batch_size));
        }
        let verdicts = Verdicts::parse(settings.success.as_deref(), settings.reject.as_deref())
            .map_err(|mistake| mistakes.push(format!("success and reject: {mistake}")));
        let mapping = Mapping::compile(settings).map_err(|found| mistakes.extend(found));
        match (mapping, verdicts) {
            (Ok(mapping), Ok(verdicts)) if mistakes.is_empty() => Ok(Delivery {
                exchange: Exchange::new(settings),
                mapping,
                verdicts,
                has_own_rejects: settings.reject.is_some(),
                send: settings.send,
                change_set: settings.change_set,
                batch_size: usize::try_from(settings.batch_size).unwrap_or(1),
            }),
            _ => Err(mistakes),
        }
    }

    /// Delivers a batch.
    ///
    /// # Errors
    /// A fault that came before anything was taken.
    pub(crate) fn deliver(&mut self, batch: &Batch) -> Result<Outcome, Fault> {
        let time = DeliveryTime::begin();
        let mut progress = Progress::default();
        let most = if self.send == Send::Entity { 1 } else { self.batch_size };
        while let Some(entry) = batch.entries.get(progress.next()) {
            if let Err(fault) = time.check(&progress) {
                return progress.stopped(fault);
            }
            let run = match self.prepare(batch, progress.next(), most) {
                Ok(run) => run,
                Err(fault) => {
                    let message = format!("{}: {}", entry_name(batch, entry), fault.message);
                    progress.refused(Fault { message, ..fault });
                    continue;
                }
            };
            let stop = if run.len() == 1 {
                self.send_alone(batch, &run, time, &mut progress)
            } else {
                self.send_run(batch, &run, time, &mut progress)
            };
            if let Err(fault) = stop {
                return progress.stopped(fault);
            }
        }
        Ok(progress.done())
    }

    /// The next entities, up to one whose reading does not fit; the fault of that one where it is the first.
    fn prepare<'b>(&self, batch: &'b Batch, first: usize, most: usize) -> Result<Vec<Prepared<'b>>, Fault> {
        let mut run = Vec::new();
        for entry in batch.entries.iter().skip(first).take(most) {
            match self.mapping.change(batch, entry) {
                Ok(change) => run.push((entry, change)),
                Err(fault) if run.is_empty() => return Err(fault),
                Err(_) => break,
            }
        }
        Ok(run)
    }

    /// Sends entities one by one.
    ///
    /// # Errors
    /// The fault that makes this entity and all further ones wait; also that the delivery has lasted long enough.
    fn send_alone(
        &mut self,
        batch: &Batch,
        run: &[Prepared<'_>],
        time: DeliveryTime,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        for (entry, change) in run {
            time.check(progress)?;
            let answer = self.exchange.send_change(change, &key_of_part(batch, entry.seq, entry.seq))?;
            let part = PartAnswer { id: None, status: answer.status, headers: answer.headers, body: answer.body };
            match self.judge(batch, entry, change, part) {
                Sent::Taken => progress.taken(1),
                Sent::Refused(fault) => progress.refused(fault),
                Sent::Later(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Sends entities in one `$batch`, and alone those of a change set that is refused.
    ///
    /// # Errors
    /// The fault that makes the first entity that was not taken and all further ones wait.
    fn send_run(
        &mut self,
        batch: &Batch,
        run: &[Prepared<'_>],
        time: DeliveryTime,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        let answers = match self.send_batch(batch, run)? {
            Some(answers) => answers,
            None => return self.send_alone(batch, run, time, progress),
        };
        if !self.change_set {
            return self.judge_each(batch, run, answers, progress);
        }
        match self.judge_change_set(batch, run, answers) {
            Sent::Taken => progress.taken(run.len()),
            Sent::Later(fault) => return Err(fault),
            Sent::Refused(_) => return self.send_alone(batch, run, time, progress),
        }
        Ok(())
    }

    /// Sends a `$batch` and takes its answer apart; none: the service refuses the batch as such.
    fn send_batch(&mut self, batch: &Batch, run: &[Prepared<'_>]) -> Result<Option<Vec<PartAnswer>>, Fault> {
        let seq = |prepared: Option<&Prepared<'_>>| prepared.map_or(0, |(entry, _)| entry.seq);
        // That of one entity is the entity's own, with which it may be sent alone.
        let key = format!("{}-batch", key_of_part(batch, seq(run.first()), seq(run.last())));
        let part = |(entry, change): &Prepared<'_>| {
            (change.clone(), self.exchange.part_headers(change, &key_of_part(batch, entry.seq, entry.seq)))
        };
        let parts: Vec<(Change, Vec<(String, String)>)> = run.iter().map(part).collect();
        let answer = match self.send {
            Send::BatchMultipart => {
                let body = multipart::write(&parts, self.change_set);
                self.exchange.send_batch(&multipart::content_type(), "multipart/mixed", &key, body)?
            }
            _ => {
                let body = batch_json::write(&parts, self.change_set);
                self.exchange.send_batch(batch_json::CONTENT_TYPE, batch_json::CONTENT_TYPE, &key, body)?
            }
        };
        // The statuses of the settings are about entities; that of a batch only says whether it was read.
        match self.verdicts.of(answer.status) {
            _ if (200..300).contains(&answer.status) => self.parts_of(&answer).map(Some),
            Verdict::Later => Err(retry_fault("POST $batch", &answer, &error_text(&answer.body))),
            Verdict::Taken | Verdict::Refused => Ok(None),
        }
    }

    fn parts_of(&self, answer: &Incoming) -> Result<Vec<PartAnswer>, Fault> {
        let content_type = answer.header("content-type").unwrap_or_default();
        let parts = match self.send {
            Send::BatchMultipart => multipart::read(content_type, &answer.body),
            _ => batch_json::read(&answer.body),
        };
        parts.map_err(|what| bad_answer(&what))
    }

    /// A change set is taken as a whole or not at all; refused: each of its entities has to go alone, to find the one.
    fn judge_change_set(&self, batch: &Batch, run: &[Prepared<'_>], answers: Vec<PartAnswer>) -> Sent {
        let count = answers.len();
        let mut refused = None;
        for (answer, (entry, change)) in answers.into_iter().zip(run) {
            let status = answer.status;
            match self.judge(batch, entry, change, answer) {
                Sent::Taken if (200..300).contains(&status) => {}
                // Taken by the settings' word, such as one that is there already: but the set as a whole was not.
                Sent::Taken => refused = Some(bad_answer(&format!("a change set came to {status}"))),
                Sent::Later(fault) => return Sent::Later(fault),
                Sent::Refused(fault) => refused = Some(fault),
            }
        }
        match refused {
            Some(fault) => Sent::Refused(fault),
            None if count == run.len() => Sent::Taken,
            None => Sent::Later(bad_answer(&format!("it holds {count} answers to {} changes", run.len()))),
        }
    }

    /// Without a change set each entity has its own fate, in order up to the first that has to wait.
    fn judge_each(
        &self,
        batch: &Batch,
        run: &[Prepared<'_>],
        answers: Vec<PartAnswer>,
        progress: &mut Progress,
    ) -> Result<(), Fault> {
        let has_ids = answers.iter().all(|answer| answer.id.is_some());
        let mut answers: Vec<Option<PartAnswer>> = answers.into_iter().map(Some).collect();
        for (index, (entry, change)) in run.iter().enumerate() {
            let id = index.to_string();
            let is_its =
                |answer: &Option<PartAnswer>| answer.as_ref().is_some_and(|answer| answer.id.as_ref() == Some(&id));
            let place = if has_ids { answers.iter().position(is_its) } else { Some(index) };
            let answer = place.and_then(|place| answers.get_mut(place)).and_then(Option::take);
            let answer = answer.ok_or_else(|| bad_answer(&format!("it holds no answer to change {id}")))?;
            match self.judge(batch, entry, change, answer) {
                Sent::Taken => progress.taken(1),
                Sent::Refused(fault) => progress.refused(fault),
                Sent::Later(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// What an answer means for the entity it is about.
    fn judge(&self, batch: &Batch, entry: &Entry, change: &Change, answer: PartAnswer) -> Sent {
        let what = format!("{} {} for {}", change.method, change.url, entry_name(batch, entry));
        let answer = Incoming { status: answer.status, headers: answer.headers, body: answer.body };
        let text = error_text(&answer.body);
        let is_absent = answer.status == 404 && self.mapping.must_exist() && !self.has_own_rejects;
        match self.verdicts.of(answer.status) {
            Verdict::Taken => Sent::Taken,
            Verdict::Later if !is_absent => Sent::Later(retry_fault(&what, &answer, &text)),
            _ => {
                let said = if text.is_empty() { String::new() } else { format!(": {text}") };
                Sent::Refused(Fault::reject(
                    format!("status-{}", answer.status),
                    format!("{what} answered {}{said}", answer.status),
                ))
            }
        }
    }
}

fn bad_answer(what: &str) -> Fault {
    Fault::retry("bad-batch-answer", format!("the answer to POST $batch cannot be used: {what}"))
}
