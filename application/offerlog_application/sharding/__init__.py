"""One service over several stores: it divides what comes by visitor, and adds up what is read."""
