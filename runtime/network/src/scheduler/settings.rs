//! The user's settings: raw as they are written, and checked.

use thiserror::Error;

/// Where the node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a page: frames, focus and visibility count.
    Page,
    /// In a process of its own: hours and the load of other processes count.
    Native,
}

/// Settings as a user or a site writes them. [`RawSettings::new`] has the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct RawSettings {
    /// Where the node runs.
    pub place: Place,
    /// `contribution`: the share of a device's time that may be used, 0 to 1.
    pub contribution: f64,
    /// `contribution.cpuLimit`: the processor's, where it differs.
    pub cpu_limit: Option<f64>,
    /// `contribution.gpuLimit`: the GPU's, where it differs.
    pub gpu_limit: Option<f64>,
    /// `idle.minIdleTime`: milliseconds without input until the user counts as idle.
    pub min_idle_time_ms: f64,
    /// `idle.focusRequired`: whether a page works only while it has the focus.
    pub focus_required: bool,
    /// `idle.respectBattery`: whether battery power means little work, and a battery half empty none.
    pub respect_battery: bool,
    /// `idle.allowHidden`: whether a hidden page works.
    pub allow_hidden: bool,
    /// `idle.respectSaveData`: whether a browser that saves data gets no work.
    pub respect_save_data: bool,
    /// `idle.privacyOptIn`: whether the user agreed in spite of a privacy signal.
    pub privacy_opt_in: bool,
    /// `idle.mobile`: whether a battery is to be assumed where none is reported.
    pub mobile: bool,
    /// `idle.hours`: first minute of the day and the minute after the last, in which a native worker works; may span midnight.
    pub hours: Option<(u16, u16)>,
    /// `slice.visibleMs`: longest submission while the page is visible.
    pub slice_visible_ms: f64,
    /// `slice.hiddenMs`: longest submission while it is hidden.
    pub slice_hidden_ms: f64,
    /// `slice.nativeMs`: longest submission of a native worker.
    pub slice_native_ms: f64,
}

impl RawSettings {
    /// The defaults of a place.
    pub fn new(place: Place) -> Self {
        RawSettings {
            place,
            contribution: 0.3,
            cpu_limit: None,
            gpu_limit: None,
            min_idle_time_ms: 5000.0,
            focus_required: false,
            respect_battery: true,
            allow_hidden: false,
            respect_save_data: true,
            privacy_opt_in: false,
            mobile: false,
            hours: None,
            slice_visible_ms: 4.0,
            slice_hidden_ms: 8.0,
            slice_native_ms: 10.0,
        }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// Names the first key whose value cannot be used.
    pub fn check(&self) -> Result<Settings, SettingsError> {
        let limit = |key, own: Option<f64>| share(key, own.unwrap_or(self.contribution));
        share("contribution", self.contribution)?;
        let cpu_permille = limit("contribution.cpuLimit", self.cpu_limit)?;
        let gpu_permille = limit("contribution.gpuLimit", self.gpu_limit)?;
        Ok(Settings {
            place: self.place,
            cpu_permille,
            gpu_permille,
            min_idle_us: time("idle.minIdleTime", self.min_idle_time_ms, 0.0, DAY_MS)?,
            focus_required: self.focus_required,
            respect_battery: self.respect_battery,
            allow_hidden: self.allow_hidden,
            respect_save_data: self.respect_save_data,
            privacy_opt_in: self.privacy_opt_in,
            mobile: self.mobile,
            hours: self.hours.map(|(from, until)| Hours::new(from, until)).transpose()?,
            slice_visible_us: time("slice.visibleMs", self.slice_visible_ms, SLICE_MIN_MS, PAGE_SLICE_MAX_MS)?
                as u32,
            slice_hidden_us: time("slice.hiddenMs", self.slice_hidden_ms, SLICE_MIN_MS, PAGE_SLICE_MAX_MS)?
                as u32,
            slice_native_us: time("slice.nativeMs", self.slice_native_ms, SLICE_MIN_MS, SLICE_MAX_MS)? as u32,
        })
    }
}

/// Settings that were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub(super) place: Place,
    pub(super) cpu_permille: u16,
    pub(super) gpu_permille: u16,
    pub(super) min_idle_us: u64,
    pub(super) focus_required: bool,
    pub(super) respect_battery: bool,
    pub(super) allow_hidden: bool,
    pub(super) respect_save_data: bool,
    pub(super) privacy_opt_in: bool,
    pub(super) mobile: bool,
    pub(super) hours: Option<Hours>,
    pub(super) slice_visible_us: u32,
    pub(super) slice_hidden_us: u32,
    pub(super) slice_native_us: u32,
}

impl Settings {
    /// Where the node runs.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The user's limit for a device, in thousandths of its time.
    pub fn limit_permille(&self, device: super::Device) -> u16 {
        match device {
            super::Device::Gpu => self.gpu_permille,
            super::Device::Cpu => self.cpu_permille,
        }
    }
}

/// Hours of the day, by their minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    until: u16,
}

impl Hours {
    /// From a minute of the day until before another; over midnight if the second is the smaller.
    ///
    /// # Errors
    /// If a minute is no minute of the day, or the two are equal, which may mean never or always.
    pub fn new(from: u16, until: u16) -> Result<Self, SettingsError> {
        match (from < MINUTES, until <= MINUTES, from != until) {
            (true, true, true) => Ok(Hours { from, until }),
            (true, true, false) => Err(SettingsError::HoursEmpty { minute: from }),
            _ => Err(SettingsError::Minute { minute: if from < MINUTES { until } else { from } }),
        }
    }

    /// Whether a minute of the day is among them.
    pub fn contain(self, minute: u16) -> bool {
        let Hours { from, until } = self;
        if from < until { (from..until).contains(&minute) } else { minute >= from || minute < until }
    }
}

/// A setting that cannot be used.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SettingsError {
    /// A share outside 0 to 1.
    #[error("{key}: {value} is no share between 0 and 1")]
    Share {
        /// Its key.
        key: &'static str,
        /// What it was.
        value: f64,
    },
    /// A time outside its bounds.
    #[error("{key}: {value} ms is not between {min} and {max} ms")]
    Time {
        /// Its key.
        key: &'static str,
        /// What it was.
        value: f64,
        /// The least it may be.
        min: f64,
        /// The most it may be.
        max: f64,
    },
    /// A minute that no day has.
    #[error("idle.hours: {minute} is no minute of the day: there are 1440")]
    Minute {
        /// What it was.
        minute: u16,
    },
    /// Hours that end when they begin.
    #[error("idle.hours: from minute {minute} until the same minute is no time at all")]
    HoursEmpty {
        /// The minute.
        minute: u16,
    },
}

fn share(key: &'static str, value: f64) -> Result<u16, SettingsError> {
    match super::measure::permille(value) {
        Some(permille) if value <= 1.0 => Ok(permille),
        _ => Err(SettingsError::Share { key, value }),
    }
}

fn time(key: &'static str, value: f64, min: f64, max: f64) -> Result<u64, SettingsError> {
    match super::measure::micros(value) {
        Some(us) if (min..=max).contains(&value) => Ok(us),
        _ => Err(SettingsError::Time { key, value, min, max }),
    }
}

const MINUTES: u16 = 1440;
const DAY_MS: f64 = 86_400_000.0;
const SLICE_MIN_MS: f64 = 0.5;
/// One frame at 60 Hz: beyond it a page stutters whatever the duty.
const PAGE_SLICE_MAX_MS: f64 = 16.0;
const SLICE_MAX_MS: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_specifications() {
        let settings = RawSettings::new(Place::Page).check().expect("defaults are good");
        assert_eq!((settings.cpu_permille, settings.gpu_permille), (300, 300));
        assert_eq!(settings.min_idle_us, 5_000_000);
        assert_eq!((settings.slice_visible_us, settings.slice_hidden_us), (4000, 8000));
        assert!(!settings.allow_hidden && settings.respect_battery && settings.respect_save_data);
    }

    #[test]
    fn an_error_names_its_key() {
        type Spoil = fn(&mut RawSettings);
        let spoilt: [(&str, Spoil); 10] = [
            ("contribution:", |s| s.contribution = 1.01),
            ("contribution:", |s| s.contribution = f64::NAN),
            ("contribution.cpuLimit:", |s| s.cpu_limit = Some(-0.1)),
            ("contribution.gpuLimit:", |s| s.gpu_limit = Some(f64::INFINITY)),
            ("idle.minIdleTime:", |s| s.min_idle_time_ms = -1.0),
            ("idle.hours:", |s| s.hours = Some((0, 1441))),
            ("idle.hours:", |s| s.hours = Some((60, 60))),
            ("slice.visibleMs:", |s| s.slice_visible_ms = 17.0),
            ("slice.hiddenMs:", |s| s.slice_hidden_ms = f64::NAN),
            ("slice.nativeMs:", |s| s.slice_native_ms = 0.0),
        ];
        for (key, spoil) in spoilt {
            let mut raw = RawSettings::new(Place::Native);
            spoil(&mut raw);
            let error = raw.check().expect_err(key).to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }

    #[test]
    fn hours_may_span_midnight() {
        let night = Hours::new(22 * 60, 6 * 60).expect("good");
        assert!(night.contain(23 * 60) && night.contain(0) && night.contain(359));
        assert!(!night.contain(360) && !night.contain(1319));
        let day = Hours::new(480, 1440).expect("good");
        assert!(day.contain(480) && day.contain(1439) && !day.contain(479));
    }
}
