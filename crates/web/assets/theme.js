// Runs before anything is shown: the theme that was chosen, and the time zone, which the server writes times in.
const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset.theme = theme;
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) document.cookie = `keystile_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax`;
