"""Pictures and the page of a network's spectra."""
