//! The settings of a room that somebody created, told in one chain with the changes of its messages.

use super::{Tail, telling::Told};
use crate::model::{Revision, RoomSettings};

impl Tail {
    /// Returns the room's settings; none when nobody created it.
    pub(in crate::room) fn settings(&self) -> Option<&RoomSettings> {
        self.settings.as_ref()
    }

    /// Takes in settings that were just read. Those of a change still to be read come with it.
    pub(super) fn take_settings(&mut self, settings: Option<RoomSettings>) {
        if let Some(settings) = &settings
            && settings.revision > self.revision()
        {
            self.changes.report(settings.revision);
        }
        self.settings = settings;
    }

    /// Tells the members of new settings, after the changes before them.
    pub(super) fn tell_settings(&mut self) {
        let Some(settings) = &self.settings else {
            return;
        };
        if settings.revision <= self.revision() && self.told.as_ref() != Some(&settings.info) {
            self.told = Some(settings.info.clone());
            self.telling.add(Told::Settings(settings.clone()));
            self.tell_changes();
        }
    }

    /// Tells of new settings if their revision comes before another one, which was just read.
    pub(super) fn tell_settings_before(&mut self, next: Revision) {
        let revision = self.settings.as_ref().map(|settings| settings.revision);
        if let Some(revision) = revision.filter(|revision| *revision < next) {
            self.changes.skip_to(revision);
            self.tell_settings();
        }
    }
}
