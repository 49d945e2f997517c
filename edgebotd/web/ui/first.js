// Before anything is painted: the theme that was chosen on this device. Not a module, which would come too late.
document.documentElement.dataset.theme = localStorage.getItem("edgebotd.theme") ?? "system";
